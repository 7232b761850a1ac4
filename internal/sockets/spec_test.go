package sockets_test

import (
	"strings"
	"testing"

	"github.com/brood-init/brood/internal/sockets"
)

func TestWhatIsListenedOn(t *testing.T) {
	for text, want := range map[string]sockets.Spec{
		"tcp://:8080":                      {Network: "tcp", Address: ":8080"},
		" tcp4://127.0.0.1:80 ":            {Network: "tcp4", Address: "127.0.0.1:80"},
		"tcp6://[::1]:0080":                {Network: "tcp6", Address: "[::1]:80"},
		"tcp6://[fe80::1%eth0]:80":         {Network: "tcp6", Address: "[fe80::1%eth0]:80"},
		"tcp://localhost:0":                {Network: "tcp", Address: "localhost:0"},
		"web=tcp://:80,reuseport":          {Name: "web", Network: "tcp", Address: ":80", ReusePort: true},
		"tcp://:80,nonblock,reuseport":     {Network: "tcp", Address: ":80", ReusePort: true, NonBlock: true},
		"unix:///run/app.sock,nonblock":    {Network: "unix", Address: "/run/app.sock", NonBlock: true},
		"unix:///run/app.sock":             {Network: "unix", Address: "/run/app.sock"},
		"app.socket=unix:///run/./a//sock": {Name: "app.socket", Network: "unix", Address: "/run/./a//sock"},
	} {
		got, err := sockets.Parse(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestWhatCannotBeListenedOnIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "want tcp://",
		"8080":                                "want tcp://",
		":8080":                               "want tcp://",
		"udp://:53":                           `no network "udp"`,
		"tcp://8080":                          "want HOST:PORT",
		"tcp://::1:80":                        "brackets",
		"tcp://:http":                         "0 to 65535",
		"tcp://:65536":                        "0 to 65535",
		"tcp://:-1":                           "0 to 65535",
		"tcp://a b:80":                        "its host",
		"tcp://user@host:80":                  "its host",
		"tcp://:80/":                          "its port",
		"tcp://:80,REUSEPORT":                 "its port",
		"tcp://:80,nonblock,nonblock":         "its port",
		"tcp4://[::1]:80":                     "want tcp://[::1]:80",
		"tcp6://127.0.0.1:80":                 "want tcp://127.0.0.1:80",
		"=tcp://:80":                          "name is empty",
		"a:b=tcp://:80":                       "its name",
		"a b=tcp://:80":                       "its name",
		"unix://run/app.sock":                 "full path",
		"unix:///run/":                        "full path",
		"unix://":                             "full path",
		"unix:///run/a.sock,reuseport":        "leave out ,reuseport",
		"unix:///run/a;b":                     "semicolon",
		"unix:///" + strings.Repeat("a", 107): "108 bytes",
	} {
		_, err := sockets.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line with %q", text, err, want)
		}
	}
}

func TestAnAddressIsListenedOnOnce(t *testing.T) {
	for _, test := range []struct {
		list string
		ok   bool
	}{
		{"tcp://:80 tcp://:81", true},
		{"tcp4://:80 tcp6://:80", true},
		{"tcp://127.0.0.1:80 tcp://[::1]:80", true},
		{"tcp://:0 tcp://:0", true},
		{"unix:///a unix:///b", true},
		{"tcp://:80 tcp://:80", false},
		{"tcp://:80 tcp://[::]:80", false},
		{"tcp://:80 tcp4://:80", false},
		{"tcp://:80 tcp6://:80", false},
		{"tcp4://:80 tcp://0.0.0.0:80", false},
		{"tcp://[::1]:80 tcp6://[0:0::1]:80", false},
		{"tcp://Host:80 tcp://host:80", false},
		{"unix:///a unix:///./a", false},
		{"a=tcp://:80 a=tcp://:81", false},
	} {
		var specs []sockets.Spec
		for text := range strings.FieldsSeq(test.list) {
			specs = append(specs, parse(t, text))
		}
		if err := sockets.Check(specs); (err == nil) != test.ok {
			t.Errorf("%s: error %v, want one: %v", test.list, err, !test.ok)
		}
	}
}

func parse(t *testing.T, text string) sockets.Spec {
	t.Helper()
	s, err := sockets.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return s
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"tcp://:8080", "a=tcp6://[fe80::1%eth0]:80,reuseport", "unix:///run/a.sock", "x=unix://", "tcp4://h:1", "unix:///a,nonblock,nonblock", "tcp://:1,reuseport,nonblock"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := sockets.Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: the error has two lines: %v", text, err)
			}
			return
		}
		if again, err := sockets.Parse(s.String()); err != nil || again != s {
			t.Errorf("%q became %q, which is %+v, %v", text, s, again, err)
		}
		if sockets.Check([]sockets.Spec{s, s}) == nil && !strings.HasSuffix(s.Address, ":0") {
			t.Errorf("%q may be there twice", text)
		}
	})
}
