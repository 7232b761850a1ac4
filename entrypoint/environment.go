package entrypoint

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"github.com/brood-init/brood/fanout"
)

// envPrefix and an underscore begin the name of every variable of ours.
const envPrefix = "BROOD"

// isIdentity reports whether brood itself gives the variable to workers or
// hooks, to tell them who they are. In brood's own environment it comes from
// another brood around this one. BROOD_SIGNAL and BROOD_EXIT_CODE, which hooks
// get, are missing here because they are settings as well.
func isIdentity(name string) bool {
	switch name {
	case fanout.EnvSlot, fanout.EnvIndex, fanout.EnvCount, fanout.EnvIncarnation, fanout.EnvWorkerPIDFile, fanout.EnvLeader,
		fanout.EnvPID, fanout.EnvReason, fanout.EnvUptime, "BROOD_CODE", "BROOD_EXIT_REASON":
		return true
	}
	return false
}

// isForUs reports whether the variable is what a supervisor tells brood, which
// a worker must not take for itself.
func isForUs(name string) bool {
	switch name {
	case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES":
		return true
	}
	return false
}

// surroundings is what one look at the environment finds.
type surroundings struct {
	worker     []string // what the workers keep
	settings   []bound  // of ours that have a variable
	unknown    []string // BROOD_* of no meaning
	nested     bool     // another brood runs this one as its worker
	hook       bool     // another brood runs this one in a hook
	kubernetes bool
}

// survey sorts the environment. What is no KEY=VALUE goes to the workers as it
// is, as any other init would do.
func survey(environ []string, rows []bound) surroundings {
	s := surroundings{worker: make([]string, 0, len(environ))}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case isForUs(name):
			continue
		case isIdentity(name):
			// Workers and hooks of another brood all have its count.
			s.nested = s.nested || (name == fanout.EnvCount || name == fanout.EnvWorkerPIDFile) && value != ""
			s.hook = s.hook || name == fanout.EnvReason && value != ""
			continue
		case strings.HasPrefix(name, envPrefix+"_"):
			if row, ok := rowOf(rows, name); ok {
				s.settings = append(s.settings, row)
				continue
			}
			s.unknown = append(s.unknown, name)
		case name == "KUBERNETES_SERVICE_HOST":
			s.kubernetes = value != ""
		}
		s.worker = append(s.worker, entry)
	}
	return s
}

// rowOf finds the row whose variable it is. It runs for each variable before the
// first worker, so it makes no strings.
func rowOf(rows []bound, variable string) (row bound, ok bool) {
	name, ours := strings.CutPrefix(variable, envPrefix+"_")
	if !ours {
		return row, false
	}
	for _, row := range rows {
		if isUpper(name, row.name) {
			return row, true
		}
	}
	return row, false
}

// isUpper reports whether variable is flag in capitals.
func isUpper(variable, flag string) bool {
	if len(variable) != len(flag) {
		return false
	}
	for i := range len(flag) {
		c := flag[i]
		switch {
		case c == '-':
			c = '_'
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		if variable[i] != c {
			return false
		}
	}
	return true
}

// readEnvironment takes the settings from the variables of this process: that
// is where envconfig looks. It gets no more than the fields that have one: to find
// out about all of them takes longer than all the rest of the configuration.
func readEnvironment(s *settings, rows []bound, found surroundings) error {
	if len(found.settings) == 0 {
		return nil
	}
	// In a hook these two tell how a worker or the other brood ended.
	s.Signal.deaf, s.ExitCode.deaf = found.hook, found.hook
	// The pattern of the brood around us is no choice that anybody has made for us.
	s.Pidfile.deaf = found.nested && s.Pidfile.Source.Explicit()
	var fields []reflect.StructField
	var values []reflect.Value
	for _, row := range rows {
		if slices.Contains(found.settings, row) {
			value := reflect.ValueOf(row.field)
			fields = append(fields, reflect.StructField{Name: strings.TrimPrefix(row.variable(), envPrefix+"_"), Type: value.Type()})
			values = append(values, value)
		}
	}
	spec := reflect.New(reflect.StructOf(fields))
	for i, value := range values {
		spec.Elem().Field(i).Set(value)
	}
	if err := envconfig.Process(envPrefix, spec.Interface()); err != nil {
		return environmentError(rows, err)
	}
	if found.nested && s.Pidfile.Source == SourceEnvironment {
		s.Pidfile.Source = SourceInherited
	}
	return nil
}

// unknownWarnings warns of variables that look like settings of ours. Those
// that Kubernetes makes for a Service called brood share one warning.
func unknownWarnings(unknown []string, rows []bound, where string) []string {
	var warnings []string
	var service []string
	for _, name := range unknown {
		if isServiceLink(name) {
			service = append(service, name)
			continue
		}
		warning := oneLine(name) + where + " is no setting of brood"
		if near := nearest(name, variables(rows)); near != "" {
			warning += ", did you mean " + near + "?"
		}
		warnings = append(warnings, warning)
	}
	if len(service) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s%s is no setting of brood but that of a Kubernetes Service called brood: "+
			"set enableServiceLinks: false (%d such variables)", oneLine(service[0]), where, len(service)))
	}
	return warnings
}

func isServiceLink(name string) bool {
	name = strings.TrimPrefix(name, envPrefix+"_")
	return name == "PORT" || strings.HasPrefix(name, "PORT_") || name == "SERVICE_HOST" || strings.HasPrefix(name, "SERVICE_PORT")
}

func variables(rows []bound) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = row.variable()
	}
	return all
}
