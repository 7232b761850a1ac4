package cgroup2_test

import (
	"fmt"
	"io"
)

// cpio writes an archive of the kind "newc", which the kernel unpacks.
type cpio struct {
	w       io.Writer
	written int
	entries int
	err     error
}

func (c *cpio) add(name string, mode uint32, content []byte) {
	c.entries++
	c.put(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.entries, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0))
	c.put(append([]byte(name), 0))
	c.align()
	c.put(content)
	c.align()
}

func (c *cpio) close() error {
	c.add("TRAILER!!!", 0, nil)
	return c.err
}

// align fills up to the next multiple of four bytes.
func (c *cpio) align() { c.put(make([]byte, (4-c.written%4)%4)) }

func (c *cpio) put(b []byte) {
	if c.err != nil {
		return
	}
	var n int
	n, c.err = c.w.Write(b)
	c.written += n
}
