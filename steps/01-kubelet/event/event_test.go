package event

import (
	"fmt"
	"testing"
)

func TestRingCountsRepetitions(t *testing.T) {
	var r Ring
	for range 3 {
		r.Record(Event{Name: "web", Reason: "BackOff", Message: "again"})
		r.Record(Event{Name: "other", Reason: "Started"})
	}
	r.Record(Event{Name: "web", Reason: "Started"})
	r.Record(Event{Name: "web", Reason: "BackOff", Message: "again"})
	got := ""
	for _, e := range r.Events() {
		got += fmt.Sprintf("%s %s %d; ", e.Name, e.Reason, e.Count)
	}
	if want := "web BackOff 3; other Started 3; web Started 1; web BackOff 1; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRingForgetsTheOldest(t *testing.T) {
	var r Ring
	for i := range ringSize + 5 {
		r.Record(Event{Name: fmt.Sprint(i)})
	}
	if got := r.Events(); len(got) != ringSize || got[0].Name != "5" {
		t.Errorf("got %d events from %s, want %d from 5", len(got), got[0].Name, ringSize)
	}
}
