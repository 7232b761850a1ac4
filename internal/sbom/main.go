// Sbom writes the list of the components of a Go binary, as CycloneDX in JSON:
//
//	go run ./internal/sbom bin/brood >bin/brood.cdx.json
//
// All it says is what the go command has noted in the binary, so that the list
// is that of this binary and not of a checkout beside it. It has neither a date
// nor a serial number: of one binary there is one list.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// bom is the part of CycloneDX that is used, see https://cyclonedx.org/docs/1.5/json/.
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, w io.Writer) error {
	if len(args) != 1 {
		return errors.New("want one argument, the binary")
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", args[0], err)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(describe(info))
}

func describe(info *debug.BuildInfo) bom {
	main := library(&info.Main)
	main.Type = "application"
	for _, s := range info.Settings {
		main.Properties = append(main.Properties, property{"golang:build:" + s.Key, s.Value})
	}
	list := bom{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{main}}
	needs := dependency{Ref: main.Ref}
	add := func(c component) {
		list.Components = append(list.Components, c)
		needs.DependsOn = append(needs.DependsOn, c.Ref)
	}
	add(library(&debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		add(library(m))
	}
	list.Dependencies = []dependency{needs}
	return list
}

// library is a module. Its sum is go.sum's, of its files and not of an archive,
// which CycloneDX has no kind of hash for.
func library(m *debug.Module) component {
	c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path}
	if m.Version != "" {
		c.PURL += "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	}
	if m.Sum != "" {
		c.Properties = []property{{"golang:sum", m.Sum}}
	}
	c.Ref = c.PURL
	return c
}
