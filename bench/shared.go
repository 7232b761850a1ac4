package main

import (
	"encoding/binary"
	"fmt"
	"os"
)

// Where the fields of struct shared in floors/shared.h are.
const (
	offsetRunning  = 4
	offsetTold     = 8
	offsetLeave    = 12
	offsetTook     = 32
	offsetExits    = 40
	offsetEnd      = 44
	offsetInitUsed = 48
	offsetCleaned  = 56
)

func sharedUint32(path string, offset int) (uint32, error) {
	content, err := os.ReadFile(path)
	if err != nil || len(content) < offset+4 {
		return 0, fmt.Errorf("cannot read the shared file %q: %w", path, err)
	}
	return binary.NativeEndian.Uint32(content[offset:]), nil
}

func sharedUint64(path string, offset int) (uint64, error) {
	content, err := os.ReadFile(path)
	if err != nil || len(content) < offset+8 {
		return 0, fmt.Errorf("cannot read the shared file %q: %w", path, err)
	}
	return binary.NativeEndian.Uint64(content[offset:]), nil
}

// setShared writes one field. Processes that wait for it look once a second.
func setShared(path string, offset int64, value uint32) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var field [4]byte
	binary.NativeEndian.PutUint32(field[:], value)
	_, err = f.WriteAt(field[:], offset)
	return err
}
