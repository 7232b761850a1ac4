package pidfiles_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/brood-init/brood/pidfiles"
)

func ExamplePattern_Path() {
	p, err := pidfiles.Parse("/run/brood/web.pid")
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Path(1))
	fmt.Println(p.MasterPath())
	fmt.Println(p.Index("web.7.pid"))
	fmt.Println(p.Index("web.7.pid.bak"))
	// Output:
	// /run/brood/web.1.pid
	// /run/brood/web.master.pid
	// 7 true
	// 0 false
}

// A process makes itself known; a master finds it and, in time, stops it.
func ExampleDir_List() {
	top, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(top)
	p, err := pidfiles.Parse(filepath.Join(top, "run", "web.pid"))
	if err != nil {
		panic(err)
	}
	d, err := pidfiles.Open(p, pidfiles.Options{})
	if err != nil {
		panic(err)
	}
	defer d.Close()

	if err := d.Write(0, os.Getpid()); err != nil {
		panic(err)
	}
	registered, problems := d.List(nil)
	for _, r := range registered {
		_ = r.Close()
	}
	fmt.Println(len(registered), problems[0].Kind) // nobody is his own master
	// Output: 0 self
}
