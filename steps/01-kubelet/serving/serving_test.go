package serving

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestAPortMayBeTakenForAMoment(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("got address %v", l.Addr())
	}
	time.AfterFunc(50*time.Millisecond, func() { l.Close() })
	again, err := listen(t.Context(), "127.0.0.1", int32(taken.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := listen(t.Context(), "192.0.2.1", 1); err == nil || !strings.Contains(err.Error(), "cannot assign requested address") {
		t.Errorf("got %v for an address that is not ours, want an error at once", err)
	}
}
