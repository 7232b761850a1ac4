package entrypoint

import (
	"slices"
	"strings"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/internal/lookpath"
	"github.com/brood-init/brood/internal/signame"
)

// lookUpCommand finds the file that a command would execute, in environ's PATH
// if there is no slash in its name. The error comes with the exit code that
// brood would have.
func lookUpCommand(command string, environ []string) (path string, code int, err error) {
	path, err = lookpath.Find(command, searchPath(environ), "")
	if err != nil {
		return "", fanout.StartCode(err), err
	}
	return path, 0, nil
}

// searchPath is the PATH that a worker with this environment has: of several
// the last one.
func searchPath(environ []string) string {
	search := ""
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			search = value
		}
	}
	return search
}

// firstEnviron is the environment of the worker in slot 1, as far as the
// configuration decides it.
func (c *Config) firstEnviron(count int) []string {
	environ := slices.Clone(c.WorkerEnviron)
	for _, v := range c.Env.Value {
		environ = append(environ, v.Key+"="+v.Value.Expand(expand.Values{Slot: 1, Index: 0, Count: count}))
	}
	return environ
}

func (c *Config) stopSignalName() string {
	if c.StopSignal.Value == 0 {
		return "the signal that arrived"
	}
	return signame.Name(c.StopSignal.Value)
}
