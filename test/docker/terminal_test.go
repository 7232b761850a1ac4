package docker_test

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// onTerminal runs a container with a terminal, as a person does.
func onTerminal(t *testing.T, words string) (keyboard *os.File, screen *lines, attached *exec.Cmd, ended chan struct{}) {
	t.Helper()
	image, c := need(t), create(t)
	attached = exec.Command(dockerCLI(), append(append(c.flags("-it"), image), split(t, words)...)...)
	keyboard, err := pty.StartWithSize(attached, &pty.Winsize{Rows: 24, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	ended = watch(t, attached)
	screen = &lines{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(screen, keyboard)
	}()
	t.Cleanup(func() {
		_ = keyboard.Close()
		<-read
	})
	return keyboard, screen, attached, ended
}

func TestCtrlCReachesEachWorkerOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"1", "2"} {
		t.Run(n+" workers", func(t *testing.T) {
			t.Parallel()
			keyboard, screen, attached, ended := onTerminal(t, "-n"+n+" -- /guest serve 200ms")
			screen.await(t, number(t, n), "ready")
			if err := pty.Setsize(keyboard, &pty.Winsize{Rows: 30, Cols: 190}); err != nil {
				t.Fatal(err)
			}
			screen.await(t, number(t, n), "got WINCH")
			if _, err := keyboard.WriteString("\x03"); err != nil {
				t.Fatal(err)
			}
			until(t, "the container ends", func() bool { return isClosed(ended) })
			if code := attached.ProcessState.ExitCode(); code != 0 {
				t.Errorf("docker run ended with %d, want 0", code)
			}
			if got := strings.Count(screen.String(), "got INT"); got != number(t, n) {
				t.Errorf("%d INT arrived at %s workers:\n%s", got, n, screen)
			}
		})
	}
}
