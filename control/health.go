package control

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// aliveWithin is how long the engine may take to answer.
const aliveWithin = time.Second

// Readyz answers 200 when serves returns nil, else 503 and the reason.
func Readyz(serves func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, serves()) }
}

// Livez answers 200 when alive returns nil within a second, else 503.
func Livez(alive func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), aliveWithin)
		defer cancel()
		answer(w, alive(ctx))
	}
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}
