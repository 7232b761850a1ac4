package entrypoint

import "strings"

// nearest is the candidate that a mistyped word most likely stands for, or
// empty when none comes close.
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, least := "", len(word)/3+1
	for _, candidate := range candidates {
		if d := distance(word, strings.ToLower(candidate)); d < least || d == least && best == "" {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a) + len(b) // no typing error, and quadratic otherwise
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
