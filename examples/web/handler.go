package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// longest bounds /slow.
const longest = 30 * time.Second

type handler struct {
	identity string
	exit     func(code int)
	crash    func()
}

func (h handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", h.answer)
	mux.HandleFunc("/slow", h.answerLate)
	mux.HandleFunc("/exit", h.answerAndExit)
	mux.HandleFunc("/crash", h.answerAndCrash)
	return mux
}

func (h handler) answer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, h.identity)
}

func (h handler) answerLate(w http.ResponseWriter, r *http.Request) {
	delay, err := time.ParseDuration(r.FormValue("for"))
	if err != nil || delay < 0 || delay > longest {
		http.Error(w, "want /slow?for=2s, at most "+longest.String(), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(delay):
		h.answer(w, r)
	case <-r.Context().Done():
	}
}

func (h handler) answerAndExit(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.FormValue("code"))
	if err != nil || code < 0 || code > 255 {
		http.Error(w, "want /exit?code=3, from 0 to 255", http.StatusBadRequest)
		return
	}
	h.last(w, r)
	h.exit(code)
}

func (h handler) answerAndCrash(w http.ResponseWriter, r *http.Request) {
	h.last(w, r)
	h.crash()
}

// last answers and makes sure that the answer has left this process.
func (h handler) last(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Length", strconv.Itoa(len(h.identity)+1))
	h.answer(w, r)
	_ = http.NewResponseController(w).Flush() // the client may have gone
}

// crash panics where net/http does not catch it.
func crash() {
	go panic("crash requested")
}
