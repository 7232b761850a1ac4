// Package merge makes one page of metrics out of the pages of several workers.
// It knows the exposition formats and nothing of processes or networks.
//
//	worker 1's answer ──Page.Read──┐
//	worker 2's answer ──Page.Read──┼─ Append ──> text, OpenMetrics or protobuf
//	worker 3's answer ──Page.Read──┘
//
// # Two ways
//
// A page in text or OpenMetrics is merged line by line: a line is checked, its
// place in a family is found, and the label of the worker is put into it when it
// is written. Nothing is made of it but three offsets, which is why 8 pages of
// 5,000 series cost milliseconds and not a tenth of a second. A page in protobuf
// is merged by message; that alone carries native histograms. What a worker
// answers in another format than the page has is converted first: by the line
// between the two text formats, by expfmt to and from protobuf.
//
// # What comes out can be read
//
// A merged page must never be refused because of one worker, so each line is
// checked as strictly as its readers do it, and an answer with one bad line
// counts as none: Read fails, and only that worker is missing. Lines with unusual
// blanks are written anew, since OpenMetrics knows one blank only.
//
// # Rules
//
//   - A family has one type: that of most workers, of the first of them if there
//     are as many of another. The others' samples are dropped, and so is a family
//     that is called as a histogram's or a counter's samples are.
//   - Help and unit are the first worker's that has one.
//   - A label that has the name of ours already is renamed, with exported_ before
//     it, as Prometheus does it.
//   - A series that a page has twice is the first one.
//   - Timestamps and exemplars stay as they are where the format has room: the
//     text format has none for exemplars, and OpenMetrics none for native
//     histograms.
package merge
