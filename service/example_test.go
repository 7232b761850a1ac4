package service_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/brood-init/brood/service"
)

// greeter is a whole service. Each worker leaves a greeting in a directory that
// Prepare has made; its name reaches them by the environment, and Finish, which
// runs in the same process as Prepare, by a variable.
var greeter = service.Service{
	Prepare: func(context.Context) (err error) {
		fmt.Println("prepare for", service.ProcessCount(), "workers")
		greetings, err = os.MkdirTemp("", "greetings")
		if err != nil {
			return err
		}
		return os.Setenv("GREETINGS", greetings)
	},
	MainLoop: func(_ context.Context, w service.Worker) error {
		text := fmt.Sprintf("%s from worker %d of %d", w.Args[0], w.Slot, w.Count)
		return os.WriteFile(filepath.Join(os.Getenv("GREETINGS"), fmt.Sprint(w.Slot)), []byte(text), 0o600)
	},
	Finish: func(context.Context) error {
		defer os.RemoveAll(greetings)
		for slot := 1; slot <= service.ProcessCount(); slot++ {
			text, err := os.ReadFile(filepath.Join(greetings, fmt.Sprint(slot)))
			if err != nil {
				return err
			}
			fmt.Println(string(text))
		}
		return nil
	},
	Defaults: []string{"--metrics-addr=none", "--log-level=error"},
}

var greetings string

// In a program this is func main() { os.Exit(service.Run(greeter)) }, and the
// rest is its command line: greeter -n2 -- hello.
func Example() {
	directory, err := os.MkdirTemp("", "greeter")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	os.Args = []string{"greeter", "-n2", "--pidfile", filepath.Join(directory, "greeter.pid"), "--", "hello"}
	test := greeter
	if test.Program, err = os.Executable(); err != nil { // TestMain calls Run in the workers
		panic(err)
	}
	fmt.Println("code", service.Run(test))
	signal.Reset() // the tests want theirs back

	// Output:
	// prepare for 2 workers
	// hello from worker 1 of 2
	// hello from worker 2 of 2
	// code 0
}

// Under brood the variables are set, and nobody has to set them.
func ExamplePIDPath() {
	os.Setenv("BROOD_PIDFILE", "/run/app/app.pid")
	defer os.Unsetenv("BROOD_PIDFILE")
	fmt.Println(service.PIDPath(0))
	fmt.Println(service.PIDPath(1))
	// Output:
	// /run/app/app.0.pid
	// /run/app/app.1.pid
}

func ExampleProcessCount() {
	os.Setenv("BROOD_COUNT", "4")
	defer os.Unsetenv("BROOD_COUNT")
	fmt.Println(service.ProcessCount())
	// Output: 4
}

// A router that runs beside the workers, as number 0: started by Prepare, it is
// stopped with them.
func ExampleRegister() {
	directory, _ := os.MkdirTemp("", "register")
	defer os.RemoveAll(directory)
	os.Setenv("BROOD_PIDFILE", filepath.Join(directory, "app.pid"))
	defer os.Unsetenv("BROOD_PIDFILE")

	router := exec.Command("sleep", "60")
	if err := router.Start(); err != nil {
		panic(err)
	}
	if err := service.Register(0, router.Process); err != nil {
		panic(err)
	}
	listed, _ := os.ReadFile(service.PIDPath(0))
	fmt.Println(strings.TrimSpace(string(listed)) == fmt.Sprint(router.Process.Pid))

	if err := service.Unregister(0, router.Process); err != nil {
		panic(err)
	}
	_, err := os.Stat(service.PIDPath(0))
	fmt.Println(os.IsNotExist(err))
	_ = router.Process.Kill()
	_ = router.Wait()
	// Output:
	// true
	// true
}

// A web service: --listen web=tcp://:8080 binds the socket once, for all
// workers and their successors.
func ExampleServeHTTP() {
	os.Exit(service.Run(service.Service{
		Defaults: []string{"--listen", "web=tcp://:8080", "--ready", "notify"},
		MainLoop: func(ctx context.Context, w service.Worker) error {
			l, err := service.ListenerNamed("web")
			if err != nil {
				return err
			}
			if err := service.Ready(); err != nil {
				return err
			}
			return service.ServeHTTP(ctx, &http.Server{Handler: http.NotFoundHandler()}, l)
		},
	}))
}
