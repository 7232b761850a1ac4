package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/brood-init/brood/fanout"
)

// answerWithin is how long the engine may take for what it decides at once.
const answerWithin = 5 * time.Second

// reload replaces all workers and answers when that is over.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	answer := make(chan error, 1)
	s.stream(w, r, func() { s.source.Reload(answer) }, answer)
}

// stop answers with what happens until brood has left, which ends the
// connection.
func (s *Server) stop(w http.ResponseWriter, r *http.Request) { s.stream(w, r, s.source.Stop, nil) }

func (s *Server) scale(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	reply := func(code int, result Result) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(result) // the client is gone
	}
	to, err := ParseScale(r.URL.Query().Get("to"))
	if err != nil {
		reply(http.StatusBadRequest, resultOf(err))
		return
	}
	answer := make(chan fanout.ScaleResult, 1)
	s.source.Scale(to, answer)
	select {
	case a := <-answer:
		result := resultOf(a.Err)
		result.From, result.To = a.From, a.To
		code := http.StatusOK
		if a.Err != nil {
			code = http.StatusConflict
		}
		reply(code, result)
	case <-time.After(answerWithin):
		reply(http.StatusServiceUnavailable, Result{Error: "the engine does not answer"})
	case <-r.Context().Done():
	}
}

func resultOf(err error) Result {
	if err != nil {
		return Result{Error: err.Error()}
	}
	return Result{OK: true}
}

// mostWorkers bounds what can be asked for.
const mostWorkers = 100_000

// ParseScale reads N, +N, -N or auto.
func ParseScale(text string) (fanout.Scale, error) {
	if text == "auto" {
		return fanout.Scale{Auto: true}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > mostWorkers || n < -mostWorkers {
		return fanout.Scale{}, fmt.Errorf("cannot scale to %q: want a number, +1, -1 or auto", text)
	}
	return fanout.Scale{N: n, Relative: text[0] == '+' || text[0] == '-'}, nil
}
