// Package bench measures what the labs promise, against peers where there are
// any: in the same run, by turns, so that a machine that drifts drifts for both.
// A figure is a median, and a bound is on the ratio.
package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// A Row is one figure.
type Row struct {
	What  string  `json:"what"`
	Unit  string  `json:"unit"`
	Ours  float64 `json:"ours"`           // median
	Min   float64 `json:"min"`            // of ours
	Max   float64 `json:"max"`            // of ours
	Peer  string  `json:"peer,omitempty"` // what Theirs is of
	Their float64 `json:"theirs,omitempty"`
	// Bound is what Ours, or Ours/Their when there is a peer, must not exceed.
	Bound float64 `json:"bound,omitempty"`
	Runs  int     `json:"runs"`
}

// Value is what the bound is on.
func (r Row) Value() float64 {
	if r.Peer != "" {
		return r.Ours / r.Their
	}
	return r.Ours
}

// Within says whether the row keeps its bound.
func (r Row) Within() bool { return r.Bound == 0 || r.Value() <= r.Bound }

// Summarize makes a row of measurements.
func Summarize(what, unit string, ours []float64) Row {
	return Row{What: what, Unit: unit, Ours: median(ours), Min: slices.Min(ours), Max: slices.Max(ours), Runs: len(ours)}
}

// Against adds the peer's measurements and the bound on the ratio.
func (r Row) Against(peer string, theirs []float64, bound float64) Row {
	r.Peer, r.Their, r.Bound = peer, median(theirs), bound
	return r
}

func median(xs []float64) float64 {
	s := slices.Sorted(slices.Values(xs))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// A Report is one run on one machine.
type Report struct {
	When   time.Time `json:"when"`
	Cores  int       `json:"cores"`
	Kernel string    `json:"kernel"`
	Rows   []Row     `json:"rows"`
}

// NewReport describes this machine.
func NewReport() Report {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		release = []byte("unknown")
	}
	return Report{When: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Kernel: string(release[:max(0, len(release)-1)])}
}

// Print writes the report as a table and returns how many bounds were broken.
func (r Report) Print(w io.Writer) (broken int) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tOURS\tMIN–MAX\tPEER\tRATIO\tBOUND\t")
	for _, row := range r.Rows {
		peer, ratio, bound, mark := "", "", "", ""
		if row.Peer != "" {
			peer, ratio = fmt.Sprintf("%s %s", row.Peer, number(row.Their, row.Unit)), fmt.Sprintf("%.2f", row.Value())
		}
		if row.Bound != 0 {
			bound, mark = fmt.Sprintf("≤ %.4g", row.Bound), "✓"
			if !row.Within() {
				mark = "✗"
				broken++
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s–%s\t%s\t%s\t%s\t%s\n", row.What, number(row.Ours, row.Unit), number(row.Min, ""), number(row.Max, ""), peer, ratio, bound, mark)
	}
	t.Flush()
	return broken
}

func number(x float64, unit string) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f %s", x, unit)
	case x >= 10:
		return fmt.Sprintf("%.1f %s", x, unit)
	}
	return fmt.Sprintf("%.2f %s", x, unit)
}

// Save keeps the report as JSON.
func (r Report) Save(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
