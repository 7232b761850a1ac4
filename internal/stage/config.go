package stage

import "unsafe"

// Config is what brood tells a stage: what to execute, and with which
// attributes. Encode makes it a message.
type Config struct {
	Path      string // executed as it stands, relative to the working directory
	Args, Env []string
	Attributes
}

// Attributes of a worker. The zero value changes nothing.
type Attributes struct {
	// Files are descriptors of the stage, which the worker gets as 3, 4, and so
	// on, beside LISTEN_PID in its environment. What is open there is closed;
	// without Files it is passed through.
	Files []int
	// Limits are set in this order.
	Limits []Limit
	// CPUs is a mask, the first CPU in the lowest bit of the first word.
	CPUs []uint64
	// Ignored has the bit sig-1 for each signal that the worker shall ignore.
	// Go's runtime puts handlers in the place of most of them, which execve
	// resets to the default.
	Ignored    uint64
	User       *User
	NoNewPrivs bool
}

// Limit is one of setrlimit(2).
type Limit struct {
	Resource   int
	Soft, Hard uint64
}

// User is who a worker runs as: real, effective and saved.
type User struct {
	UID, GID uint32
	Groups   []uint32 // the supplementary ones, all
}

// maxOrder is more than execve takes; see execve(2) on the size of arguments.
const maxOrder = 256 << 20

// Encode returns the message for a stage. No string may contain a NUL.
func (c *Config) Encode() []byte {
	size := len(c.Path) + 4096
	for _, list := range [][]string{c.Args, c.Env} {
		for _, s := range list {
			size += len(s) + 9
		}
	}
	w := writer(make([]byte, 8, size))
	w.text(c.Path)
	w.texts(c.Args)
	w.texts(c.Env)
	w.attributes(&c.Attributes)
	length := writer(w[:0])
	length.number(uint64(len(w) - 8))
	return w
}

// order is a Config that has arrived. Its strings lie as execve wants them.
type order struct {
	path       *byte
	argv, envv []*byte // each ends with nil
	Attributes
}

// decode reads what Encode has made, without the length. The order points into
// message.
func decode(message []byte) (*order, bool) {
	r := reader{rest: message}
	o := &order{path: r.text()}
	o.argv = append(r.texts(0), nil)
	o.envv = append(r.texts(1), nil) // with room for LISTEN_PID
	r.attributes(&o.Attributes)
	return o, !r.bad && len(r.rest) == 0
}

type writer []byte

func (w *writer) number(n uint64) {
	for range 8 {
		*w = append(*w, byte(n))
		n >>= 8
	}
}

func (w *writer) text(s string) {
	w.number(uint64(len(s) + 1))
	*w = append(append(*w, s...), 0)
}

func (w *writer) texts(list []string) {
	w.number(uint64(len(list)))
	for _, s := range list {
		w.text(s)
	}
}

func writeNumbers[N int | uint32 | uint64](w *writer, list []N) {
	w.number(uint64(len(list)))
	for _, n := range list {
		w.number(uint64(n))
	}
}

func (w *writer) attributes(a *Attributes) {
	writeNumbers(w, a.Files)
	w.number(uint64(len(a.Limits)))
	for _, l := range a.Limits {
		w.number(uint64(l.Resource))
		w.number(l.Soft)
		w.number(l.Hard)
	}
	writeNumbers(w, a.CPUs)
	w.number(a.Ignored)
	w.flag(a.NoNewPrivs)
	w.flag(a.User != nil)
	if a.User != nil {
		w.number(uint64(a.User.UID))
		w.number(uint64(a.User.GID))
		writeNumbers(w, a.User.Groups)
	}
}

func (w *writer) flag(is bool) {
	if is {
		w.number(1)
		return
	}
	w.number(0)
}

// reader takes apart what writer has put together. Once it is bad it stays so
// and all that it returns is zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number() uint64 {
	var n uint64
	for i, b := range r.take(8) {
		n |= uint64(b) << (8 * i)
	}
	return n
}

// count is the length of a list whose entries take at least 8 bytes each.
func (r *reader) count() uint64 {
	n := r.number()
	if n > uint64(len(r.rest))/8 {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) text() *byte {
	s := r.take(r.number())
	if len(s) == 0 || s[len(s)-1] != 0 {
		r.bad = true
		return nil
	}
	return unsafe.SliceData(s)
}

func (r *reader) texts(room int) []*byte {
	n := r.count()
	list := make([]*byte, 0, int(n)+room+1)
	for range n {
		list = append(list, r.text())
	}
	return list
}

func readNumbers[N int | uint32 | uint64](r *reader) []N {
	list := make([]N, r.count())
	for i := range list {
		list[i] = N(r.number())
	}
	return list
}

func (r *reader) attributes(a *Attributes) {
	a.Files = readNumbers[int](r)
	a.Limits = make([]Limit, r.count())
	for i := range a.Limits {
		a.Limits[i] = Limit{Resource: int(r.number()), Soft: r.number(), Hard: r.number()}
	}
	a.CPUs = readNumbers[uint64](r)
	a.Ignored = r.number()
	a.NoNewPrivs = r.number() != 0
	if r.number() != 0 {
		a.User = &User{UID: uint32(r.number()), GID: uint32(r.number())}
		a.User.Groups = readNumbers[uint32](r)
	}
}
