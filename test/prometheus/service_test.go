package prometheus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// asService as the first word makes this program a service with metrics of its
// own on a unix socket in the directory that the second word names. The other
// words say how each slot's process behaves; the last is that of all others.
const asService = "service"

// serve answers until it is told to end.
func serve(dir string, manners []string) error {
	slot, err := strconv.Atoi(os.Getenv("BROOD_SLOT"))
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	ctx, tooLate := context.WithTimeout(ctx, tooLong+length())
	defer tooLate()
	path := filepath.Join(dir, strconv.Itoa(slot)+".sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: behave(manners[min(slot, len(manners))-1]), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	<-ctx.Done()
	return server.Close()
}

// behave is a page of metrics, or what stands in its place.
func behave(manner string) http.Handler {
	name, argument, _ := strings.Cut(manner, ":")
	switch name {
	case "hang":
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	case "garbage":
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{\"status\": \"ok\"}\n") })
	case "endless":
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
					return
				}
			}
		})
	case "die":
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	case "series":
		n, _ := strconv.Atoi(argument)
		var page strings.Builder
		for i := range n {
			fmt.Fprintf(&page, "app_things{handler=\"/api/v1/things/%d\",method=\"GET\",code=\"200\"} %d\n", i, i)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, page.String())
		})
	}
	service := instrumented()
	if name == "obedient" {
		obey(service)
	}
	return service
}

// obey has a service do what it is asked to, however bad that is for it.
func obey(service *http.ServeMux) {
	service.HandleFunc("/end/{code}", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		os.Exit(code)
	})
	service.HandleFunc("/hog", func(http.ResponseWriter, *http.Request) {
		for hogged := [][]byte{}; len(hogged) < 1024; { // MiB, far above the limit
			hogged = append(hogged, bytes.Repeat([]byte{1}, 1<<20))
		}
	})
	service.HandleFunc("/deaf", func(http.ResponseWriter, *http.Request) { signal.Ignore(syscall.SIGTERM) })
	service.HandleFunc("/orphan/{code}", func(_ http.ResponseWriter, r *http.Request) {
		_ = exec.Command("sh", "-c", "(exit "+r.PathValue("code")+") &").Run()
	})
}

// instrumented is a service as one writes it with client_golang. Each request
// for anything but its metrics is counted.
func instrumented() *http.ServeMux {
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "app_requests_total", Help: "Requests \"served\"."}, []string{"path"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "app_request_duration_seconds", Help: "Duration of requests in seconds.",
		Buckets: []float64{0.1, 1, 10}, NativeHistogramBucketFactor: 1.1,
	})
	size := prometheus.NewSummary(prometheus.SummaryOpts{
		Name: "app_size_bytes", Help: "Size of answers in bytes.", Objectives: map[float64]float64{0.5: 0.05, 1: 0.001},
	})
	shard := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_shard", Help: "Shard of a worker."}, []string{"worker"})
	registry.MustRegister(requests, took, size, shard)
	shard.WithLabelValues("blue").Set(1)
	count := func() {
		trace := prometheus.Labels{"trace_id": "4bf92f35"}
		requests.WithLabelValues("/").(prometheus.ExemplarAdder).AddWithExemplar(1, trace)
		took.(prometheus.ExemplarObserver).ObserveWithExemplar(0.5, trace)
		size.Observe(512)
	}
	count()
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { count() })
	return mux
}
