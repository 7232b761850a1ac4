package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
)

func measureSize(l *lab) ([]result, error) {
	info, err := os.Stat(l.brood)
	if err != nil {
		return nil, err
	}
	file, err := elf.Open(l.brood)
	if err != nil {
		return nil, fmt.Errorf("cannot read the binary: %w", err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, errors.New("the binary is not static")
		}
	}
	megabytes := float64(info.Size()) / 1e6
	return []result{{brood: fmt.Sprintf("%.1f MB", megabytes), verdict: verdict(megabytes <= 12)}}, nil
}
