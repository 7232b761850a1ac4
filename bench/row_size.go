package main

import (
	"fmt"
	"os"
)

func measureSize(l *lab) ([]result, error) {
	info, err := os.Stat(l.brood)
	if err != nil {
		return nil, err
	}
	megabytes := float64(info.Size()) / 1e6
	return []result{{brood: fmt.Sprintf("%.1f MB", megabytes), verdict: verdict(megabytes <= 12)}}, nil
}
