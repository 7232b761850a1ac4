package stage

import (
	"encoding/binary"
	"testing"
)

// A stage that was replaced by something else can say anything.
func FuzzParseFailure(f *testing.F) {
	message := func(numbers ...uint64) (b []byte) {
		for _, n := range numbers {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		return b
	}
	f.Add(message(uint64(StepExec), 0, 2))
	f.Add(message(uint64(StepFiles), 3, 24))
	f.Add(message(0, 0, 0))
	f.Add(message(1, 1<<63, 1<<63))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := ParseFailure(text)
		if !ok {
			return
		}
		if len(text) != FailureSize || got.Step == 0 || got.Errno == 0 {
			t.Fatalf("%x is %+v", text, got)
		}
		if again := message(uint64(got.Step), got.Detail, uint64(got.Errno)); string(again) != string(text) {
			t.Errorf("%x is written as %x", text, again)
		}
	})
}
