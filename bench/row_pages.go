package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pagesOf is how many workers have pages of their own.
const pagesOf = 8

// measurePages races brood's page, which has all workers' own, with a client
// that fetches the workers' pages itself, all at once.
func measurePages(l *lab) ([]result, error) {
	var all []result
	for _, of := range []struct {
		series int
		bar    time.Duration
	}{{500, 2 * time.Millisecond}, {5000, 10 * time.Millisecond}} {
		res, err := l.pages(of.series, of.bar)
		if err != nil {
			return all, err
		}
		all = append(all, res)
	}
	return all, nil
}

func (l *lab) pages(series int, bar time.Duration) (result, error) {
	res := result{
		what: fmt.Sprintf("%d workers' own pages of %d series as one", pagesOf, series), bar: fmt.Sprintf("<= fetch + %s", bar),
	}
	dir, r, err := l.beginPages(series)
	if err != nil {
		return res, err
	}
	defer r.end()
	fetch := newFetcher(dir)
	defer fetch.close()
	var brood, direct samples
	size := 0
	for range max(2, 3*l.size.scrapes) {
		begun := time.Now()
		if err := fetch.all(l.ctx); err != nil {
			return res, err
		}
		direct = append(direct, time.Since(begun))
		begun = time.Now()
		page, err := l.scrape(r.address, "identity")
		if err != nil {
			return res, err
		}
		brood = append(brood, time.Since(begun))
		if size = len(page); strings.Count(string(page), "\napp_things_total{") != pagesOf*series {
			return res, errors.New("the page has not all series")
		}
	}
	beyond := brood.min() - direct.min()
	res.brood = fmt.Sprintf("%s, %d KB", brood, size/1000)
	res.peer = "fetch " + direct.String()
	res.ratio = fmt.Sprintf("fetch + %s", milliseconds(beyond))
	res.verdict = verdict(beyond <= bar)
	return res, nil
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// beginPages starts brood with workers that serve pages on unix sockets, and
// returns when all of them are on its page.
func (l *lab) beginPages(series int) (dir string, r *running, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(l.shm, "pages-"); err != nil {
		return "", nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return "", nil, err
	}
	socket := "unix://" + filepath.Join(dir, "{slot}.sock")
	pages := l.broodPeer("--metrics-addr", address, "--ready", socket, "--worker-metrics", socket+":/metrics")
	how, err := l.prepare(pages, pagesOf, self, asPage, dir, strconv.Itoa(series))
	if err != nil {
		return "", nil, err
	}
	shared, err := l.sharedFile()
	if err != nil {
		return "", nil, err
	}
	if r, err = l.beginProgram(shared, how.argv...); err != nil {
		return "", nil, err
	}
	r.address = address
	err = until(30*time.Second, func() (bool, error) {
		if r.hasEnded() {
			return false, errors.New("brood has ended: " + r.saying())
		}
		page, err := l.scrape(address, "identity")
		return err == nil && strings.Count(string(page), "\nbrood_scrape_up{") == pagesOf, nil
	})
	if err != nil {
		return "", nil, errors.Join(err, r.end())
	}
	return dir, r, nil
}

// fetcher keeps a connection to each worker, as brood does.
type fetcher struct{ clients []*http.Transport }

func newFetcher(dir string) *fetcher {
	f := new(fetcher)
	for slot := range pagesOf {
		socket := filepath.Join(dir, strconv.Itoa(slot+1)+".sock")
		f.clients = append(f.clients, &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}})
	}
	return f
}

func (f *fetcher) all(ctx context.Context) error {
	errs := make([]error, len(f.clients))
	var fetching sync.WaitGroup
	for i, client := range f.clients {
		fetching.Go(func() { errs[i] = fetchPage(ctx, client) })
	}
	fetching.Wait()
	return errors.Join(errs...)
}

func fetchPage(ctx context.Context, client *http.Transport) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/metrics", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func (f *fetcher) close() {
	for _, client := range f.clients {
		client.CloseIdleConnections()
	}
}

// asPage as the first of three words makes this program a worker with a page of
// so many series on a socket in a directory.
const asPage = "serve-page"

// servesPage reports whether it was started as that, and does it until it is
// killed.
func servesPage(args []string) (bool, error) {
	if len(args) != 4 || args[1] != asPage {
		return false, nil
	}
	series, err := strconv.Atoi(args[3])
	if err != nil {
		return true, err
	}
	l, err := net.Listen("unix", filepath.Join(args[2], os.Getenv("BROOD_SLOT")+".sock"))
	if err != nil {
		return true, err
	}
	var page strings.Builder
	page.WriteString("# HELP app_things_total What the service does.\n# TYPE app_things_total counter\n")
	for i := range series {
		fmt.Fprintf(&page, "app_things_total{code=\"200\",handler=\"/api/v1/things/%d\",method=\"GET\"} %d\n", i, i)
	}
	text := []byte(page.String())
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text)
	})}
	return true, server.Serve(l)
}
