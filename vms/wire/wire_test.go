package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
)

type stream struct {
	io.Reader
	io.Writer
}

func TestMessagesArriveAsSent(t *testing.T) {
	var b bytes.Buffer
	c := NewConn(stream{&b, &b})
	for _, want := range []Message{
		{Start: &Start{Run: 1, Args: []string{"sh", "-c", "echo 'a\nb'"}, Env: []string{"A=\x01"}}},
		{Data: &Data{Run: 1, Stream: Stderr, Bytes: []byte{0, '\n', 255}}},
		{Exit: &Exit{Run: 1, Code: 130}},
	} {
		if err := c.Send(want); err != nil {
			t.Fatal(err)
		}
		got, err := c.Receive()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestMessageAfterACutOffLineIsRead(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`{"data":{"run":1,"str`)
	c := NewConn(stream{&b, &b})
	if err := c.Send(Message{Ready: &Ready{Nonce: 7}}); err != nil {
		t.Fatal(err)
	}
	var bad *BadLine
	if _, err := c.Receive(); !errors.As(err, &bad) {
		t.Errorf("got %v, want a BadLine", err)
	}
	m, err := c.Receive()
	if err != nil || m.Ready == nil || m.Ready.Nonce != 7 {
		t.Errorf("got %+v, %v, want the message after it", m, err)
	}
	if _, err := c.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF at the end", err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("\n{\"exit\":{\"run\":1}}\n"))
	f.Add([]byte("{\n[1]\nnull\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewConn(stream{bytes.NewReader(b), io.Discard})
		for range len(b) + 2 {
			_, err := c.Receive()
			var bad *BadLine
			if err != nil && !errors.As(err, &bad) {
				return
			}
		}
		t.Error("more messages than bytes: Receive does not come to an end")
	})
}
