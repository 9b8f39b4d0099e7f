package queue

import stdheap "container/heap"

// A heap keeps its first item at hand, and each item knows where in it it is.
type heap struct {
	items []*Item
	less  func(a, b *Item) bool
}

func (h *heap) push(item *Item)   { stdheap.Push((*slots)(h), item) }
func (h *heap) fix(item *Item)    { stdheap.Fix((*slots)(h), item.index) }
func (h *heap) remove(item *Item) { stdheap.Remove((*slots)(h), item.index) }

// pop returns the first item, or nil.
func (h *heap) pop() *Item {
	if len(h.items) == 0 {
		return nil
	}
	return stdheap.Pop((*slots)(h)).(*Item)
}

// slots are a heap as container/heap wants to see it.
type slots heap

func (s *slots) Len() int           { return len(s.items) }
func (s *slots) Less(i, j int) bool { return s.less(s.items[i], s.items[j]) }

func (s *slots) Swap(i, j int) {
	s.items[i], s.items[j] = s.items[j], s.items[i]
	s.items[i].index, s.items[j].index = i, j
}

func (s *slots) Push(x any) {
	item := x.(*Item)
	item.index = len(s.items)
	s.items = append(s.items, item)
}

func (s *slots) Pop() any {
	last := len(s.items) - 1
	item := s.items[last]
	s.items[last] = nil
	s.items = s.items[:last]
	return item
}
