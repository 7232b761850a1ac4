package entrypoint

import (
	"github.com/brood-init/brood/internal/sockets"
	"github.com/brood-init/brood/internal/staging"
)

// Output is what becomes of the workers' lines.
type Output string

// The values of --output.
const (
	OutputInherit Output = "inherit"
	OutputPrefix  Output = "prefix"
	OutputJSON    Output = "json"
)

func addSocket(earlier []sockets.Spec, text string) ([]sockets.Spec, error) {
	spec, err := sockets.Parse(text)
	if err != nil {
		return nil, err
	}
	all := append(earlier, spec)
	return all, sockets.Check(all)
}

func parseUser(text string) (*staging.User, error) {
	u, err := staging.Accounts{}.User(text)
	return &u, err
}

func addRlimit(earlier []staging.Limit, text string) ([]staging.Limit, error) {
	limit, err := staging.ParseRlimit(text)
	return append(earlier, limit), err
}

func parseAffinity(text string) (*staging.Affinity, error) {
	a, err := staging.ParseAffinity(text)
	return &a, err
}
