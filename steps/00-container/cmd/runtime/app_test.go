package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestNameGoesBeforeTheBeginningOfAnID(t *testing.T) {
	container := func(id, name string, created int64) *runtimeapi.Container {
		return &runtimeapi.Container{Id: id, Metadata: &runtimeapi.ContainerMetadata{Name: name}, CreatedAt: created}
	}
	all := []*runtimeapi.Container{
		container("1000", "db", 1),
		container("db01", "newer", 2),
		container("db02", "web", 3),
		container("e000", "web", 4),
	}
	for ref, want := range map[string]string{
		"db":   "1000", // not db01 or db02, although they are newer
		"db01": "db01",
		"web":  "e000",
		"e":    "e000",
		"d":    `the ids of 2 containers begin with "d"`,
		"x":    "no container has",
		"":     "no container has",
	} {
		got, err := choose(all, ref)
		if err == nil && got.GetId() != want || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want %s", ref, got, err, want)
		}
	}
}

func TestWhoMayNotIsToldWhoMay(t *testing.T) {
	denied := fmt.Errorf("open runtime: %w", &os.PathError{Op: "mkdir", Path: "/var/lib/groundup", Err: os.ErrPermission})
	if got := remedy(denied, 1000); !strings.Contains(got, "sudo") {
		t.Errorf("a user: got %q, want the way to become root", got)
	}
	if got := remedy(denied, 0) + remedy(os.ErrNotExist, 1000); got != "" {
		t.Errorf("root, and another error: got %q, want nothing", got)
	}
}
