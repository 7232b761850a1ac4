package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func measureScrape(l *lab) ([]result, error) {
	results, err := measureScraped(l)
	if err != nil {
		return nil, err
	}
	garbage, err := l.garbage()
	return append(results, garbage), err
}

func measureScraped(l *lab) ([]result, error) {
	raced, err := l.raceScrapes()
	if err != nil {
		return nil, err
	}
	brood, peer := raced.brood, raced.exporter
	took := result{
		brood: fmt.Sprintf("%s, %d KB", brood, raced.size/1000), verdict: verdict(brood.min() <= 25*time.Millisecond),
	}
	faster := result{what: "the same beside process-exporter", bar: ">= 5x faster", brood: brood.String(), peer: "it is missing"}
	if peer != nil {
		ratio := peer.over(brood)
		faster.peer, faster.ratio, faster.verdict = "process-exporter "+peer.String(), times(ratio)+" faster", verdict(ratio >= 5)
	}
	return []result{took, faster}, nil
}

// racedScrapes are of brood's pages and process-exporter's, which is nil if there is none.
type racedScrapes struct {
	brood, exporter           samples
	size, exporterSize        int       // of a page
	resident, exporterResides residence // after them
}

// raceScrapes races brood's page with process-exporter's about the same
// processes, which runs beside it all the time and idles between its turns.
func (l *lab) raceScrapes() (raced racedScrapes, err error) {
	r, err := l.beginScraped()
	if err != nil {
		return raced, err
	}
	defer r.end()
	page, err := l.scrape(r.address, "identity")
	if err != nil {
		return raced, err
	}
	if n := bytes.Count(page, []byte("\nbrood_worker_up{")); n != l.size.scraped {
		return raced, fmt.Errorf("the page is about %d workers, not %d", n, l.size.scraped)
	}
	exporter, err := l.beginExporter()
	if err != nil {
		return raced, err
	}
	defer exporter.end()
	once := func(to *samples, size *int, address string) error {
		begun := time.Now()
		page, err := l.scrape(address, "identity")
		*to, *size = append(*to, time.Since(begun)), len(page)
		return err
	}
	for range l.size.scrapes {
		if err := once(&raced.brood, &raced.size, r.address); err != nil {
			return raced, err
		}
		if exporter == nil {
			continue
		}
		if err := once(&raced.exporter, &raced.exporterSize, exporter.address); err != nil {
			return raced, err
		}
	}
	if raced.resident, err = resident(r.pid()); err != nil || exporter == nil {
		return raced, err
	}
	raced.exporterResides, err = resident(exporter.cmd.Process.Pid)
	return raced, err
}

func (l *lab) beginScraped() (*running, error) {
	r, err := l.begin(l.size.scraped, "--metrics-detail", "short")
	if err != nil {
		return nil, err
	}
	// What is scraped is a brood at rest.
	return r, l.sleep(1500 * time.Millisecond)
}

// garbage lets the runtime trace its collections over many scrapes.
func (l *lab) garbage() (result, error) {
	const scrapes = 400
	res := result{what: "garbage of such a scrape", bar: "<= 1 MB"}
	l.extra = []string{"GODEBUG=gctrace=1"}
	r, err := l.beginScraped()
	l.extra = nil
	if err != nil {
		return res, err
	}
	defer r.end()
	from, err := os.ReadFile(r.said.Name())
	if err != nil {
		return res, err
	}
	for range scrapes {
		if _, err := l.scrape(r.address, "identity"); err != nil {
			return res, err
		}
	}
	text, err := os.ReadFile(r.said.Name())
	if err != nil {
		return res, err
	}
	mebibytes, collections := allocated(string(text[len(from):]))
	if collections < 3 {
		return res, fmt.Errorf("only %d collections in %d scrapes: there is nothing to tell from", collections, scrapes)
	}
	megabytes := mebibytes * (1 << 20) / 1e6 / scrapes
	res.brood, res.verdict = fmt.Sprintf("%.2f MB", megabytes), verdict(megabytes <= 1)
	return res, nil
}

// scrape gets a page.
func (l *lab) scrape(address, encoding string) ([]byte, error) {
	req, err := http.NewRequestWithContext(l.ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", encoding)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	l.page.Reset()
	_, err = io.Copy(&l.page, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot scrape %s: %s", address, resp.Status)
	}
	return l.page.Bytes(), err
}
