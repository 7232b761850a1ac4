package pidfiles

// Check reports whether Write(i, pid) would be refused whatever the pid is: nil,
// or the *ClaimError of ErrTaken. It spares the caller a process that would
// have to be ended again.
func (d *Dir) Check(i int) error {
	name := d.pattern.name(i)
	if holder, taken := d.holder(name); taken && !d.hasWritten(i, holder) {
		return &ClaimError{Path: d.path(name), PID: holder, Err: ErrTaken}
	}
	return nil
}
