package output_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/brood-init/brood/internal/output"
)

// The same bytes through a Mux and through cat(1), which does less.
func BenchmarkThroughput(b *testing.B) {
	for _, length := range []int{20, 100, 1000} {
		lines := bytes.Repeat(append(bytes.Repeat([]byte("x"), length-1), '\n'), (64<<10)/length)
		for _, mode := range []output.Mode{output.Prefix, output.JSON} {
			b.Run(fmt.Sprintf("%s/line=%d", mode, length), func(b *testing.B) {
				read, write, err := os.Pipe()
				if err != nil {
					b.Fatal(err)
				}
				m := output.New(output.Options{Mode: mode, Stdout: write, Stderr: io.Discard, Patience: time.Minute})
				stdout, stderr, err := m.Open(1, 1)
				if err != nil {
					b.Fatal(err)
				}
				_ = stderr.Close()
				pump(b, lines, stdout, read, func() {
					m.Close(fatalWait)
					_ = write.Close()
				})
			})
		}
		b.Run(fmt.Sprintf("cat/line=%d", length), func(b *testing.B) {
			cat := exec.Command("cat")
			in, err := cat.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			out, err := cat.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cat.Start(); err != nil {
				b.Fatal(err)
			}
			pump(b, lines, in, out, func() {})
			_ = cat.Wait()
		})
	}
}

func pump(b *testing.B, lines []byte, in io.WriteCloser, out io.ReadCloser, end func()) {
	b.SetBytes(int64(len(lines)))
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, out)
		close(done)
	}()
	b.ResetTimer()
	for range b.N {
		if _, err := in.Write(lines); err != nil {
			b.Fatal(err)
		}
	}
	_ = in.Close()
	end()
	<-done
	b.StopTimer()
	_ = out.Close()
}
