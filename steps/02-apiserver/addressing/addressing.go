// Package addressing gives services their addresses and node ports.
//
// A service is reached by an address that belongs to no machine, and must belong
// to no other service. Which ones are taken is written nowhere but in the services:
// whoever wants a new one looks at all of them. What was given out a moment ago,
// to a service that is not stored yet, is remembered for as long as that can take, or
// until that service is written again or deleted.
//
// The lower part of the range is only given to those who ask for a certain
// address, so that a DNS server or the like finds the one it is known by still
// free (KEP-3070).
//
// Servers of one store agree by a [Ledger] in it. Upstream's books in etcd are complete
// and are repaired (pkg/registry/core/service), which saves it from looking at
// all services.
package addressing

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// An Allocator is the admission that gives out addresses and ports. Its zero
// values are filled in at first use, except for the ranges.
type Allocator struct {
	Addresses netip.Prefix // of services
	Ports     Ports        // of nodes, for services
	Ledger    *Ledger      // shared with other servers; nil if there are none

	Now    func() time.Time // time.Now if nil
	Random func(n int) int  // less than n; of math/rand if nil

	mu    sync.Mutex
	given map[any]page // of an address or a node port, guarded by mu
}

// Ports is a range of ports, both ends included.
type Ports struct{ First, Last int32 }

// DefaultPorts are those of upstream's --service-node-port-range.
var DefaultPorts = Ports{30000, 32767}

var _ resource.Admission = (*Allocator)(nil)

var services = schema.GroupResource{Resource: "services"}

// remembered is for how long something that was given out may not be stored yet.
const remembered = time.Minute

// Name implements resource.Admission.
func (a *Allocator) Name() string { return "ServiceAddresses" }

// Admit implements resource.Admission.
func (a *Allocator) Admit(ctx context.Context, r *resource.Request) error {
	if r.Subresource != "" || r.Resource.GroupResource() != services {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	old, _ := r.Old.(*corev1.Service)
	if old != nil && !r.DryRun {
		if err := a.release(ctx, old, r.Operation == resource.Delete); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("take back what service %s was given: %w", nameOf(old), err))
		}
	}
	if r.Operation == resource.Delete {
		return nil
	}
	s := r.Object.(*corev1.Service)
	if old != nil {
		Keep(s, old)
	}
	if s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	all, err := r.Server.List(ctx, services, "")
	if err != nil {
		return err
	}
	g := &giving{Allocator: a, ctx: ctx, request: r, service: s, taken: a.taken(all, s, old)}
	if bad := g.complete(s, old); len(bad) > 0 {
		if err := g.giveBack(); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("take back what service %s was to be given: %w", nameOf(s), err))
		}
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), s.Name, bad)
	}
	return nil
}

// release forgets what a service was given: it is stored by now, and has it as long as that
// can be seen there. What it gives up may be another's at once, or its own when it is made again.
func (a *Allocator) release(ctx context.Context, s *corev1.Service, deleted bool) error {
	for what := range has(s) {
		ours := a.given[what].Service == nameOf(s)
		if ours {
			delete(a.given, what)
		}
		if ours || deleted {
			if err := a.Ledger.leave(ctx, what, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func nameOf(s *corev1.Service) string { return s.Namespace + "/" + s.Name }

// taken are all addresses and node ports but those that the service had before, or
// was given when its writer tried in vain.
func (a *Allocator) taken(all []resource.Object, s, old *corev1.Service) map[any]bool {
	taken := map[any]bool{}
	for what, to := range a.given {
		if a.now().Sub(to.At) > remembered {
			delete(a.given, what)
		} else if to.Service != nameOf(s) {
			taken[what] = true
		}
	}
	if old != nil {
		for what := range has(old) {
			delete(taken, what)
		}
	}
	for _, o := range all {
		if o.GetNamespace() == s.Namespace && o.GetName() == s.Name {
			continue
		}
		for what := range has(o.(*corev1.Service)) {
			taken[what] = true
		}
	}
	return taken
}

// has yields the addresses and the node ports of a service.
func has(s *corev1.Service) iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, ip := range s.Spec.ClusterIPs {
			if address, err := netip.ParseAddr(ip); err == nil && !yield(address) {
				return
			}
		}
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 && !yield(p.NodePort) {
				return
			}
		}
		if port := s.Spec.HealthCheckNodePort; port != 0 && checked(s) {
			yield(port)
		}
	}
}

func (a *Allocator) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

func (a *Allocator) random(n int) int {
	if a.Random == nil {
		return rand.IntN(n)
	}
	return a.Random(n)
}

// A giving is one service's turn.
type giving struct {
	*Allocator
	ctx     context.Context
	request *resource.Request
	service *corev1.Service
	taken   map[any]bool
	gave    []any
}

var spec = field.NewPath("spec")

// complete fills in what the service needs and does not have, and checks that
// what it asks for is free.
func (g *giving) complete(s, old *corev1.Service) field.ErrorList {
	var bad field.ErrorList
	if needsAddress(s) {
		if bad = validation.ClusterIPs(s, old); len(bad) > 0 {
			return bad
		}
		if bad = families(s, g.Addresses); len(bad) > 0 {
			return bad
		}
		bad = g.address(s, old)
	}
	if needsPorts(s) {
		bad = append(bad, g.ports(s)...)
	}
	return bad
}

func (g *giving) address(s, old *corev1.Service) field.ErrorList {
	p := spec.Child("clusterIPs")
	switch asked := s.Spec.ClusterIP; {
	case asked == corev1.ClusterIPNone || old != nil && asked != "" && asked == old.Spec.ClusterIP:
		return nil
	case old != nil && asked != "" && needsAddress(old) && old.Spec.ClusterIP != "":
		return nil // it may not change: validation tells
	case asked == "":
		address, err := g.free()
		if err != nil {
			return field.ErrorList{field.Invalid(p, s.Spec.ClusterIPs, "failed to allocate IP: "+err.Error())}
		}
		s.Spec.ClusterIP, s.Spec.ClusterIPs = address.String(), []string{address.String()}
		return nil
	default:
		address, err := netip.ParseAddr(asked)
		if err != nil {
			return nil // validation tells
		}
		if err := g.claim(address); err != nil {
			return field.ErrorList{field.Invalid(p, s.Spec.ClusterIPs, fmt.Sprintf("failed to allocate IP %v: %v", address, err))}
		}
		return nil
	}
}

func (g *giving) claim(address netip.Addr) error {
	if !usable(g.Addresses, address) {
		return errors.New("the provided network does not match the current range") // so upstream
	}
	ok, err := g.take(address)
	if err == nil && !ok {
		err = fmt.Errorf("provided IP is already allocated")
	}
	return err
}

// take remembers what is given out until it can be read in the store. It is not
// ok if another server has given it out.
func (g *giving) take(what any) (ok bool, err error) {
	if g.taken[what] {
		return false, nil
	}
	g.taken[what] = true
	if g.request.DryRun {
		return true, nil
	}
	ok, again, err := g.Ledger.enter(g.ctx, what, g.service, g.now())
	if err == nil && again {
		ok, err = g.stillFree(what)
	}
	if !ok || err != nil {
		return false, err
	}
	if g.given == nil {
		g.given = map[any]page{}
	}
	g.given[what] = page{nameOf(g.service), g.now()}
	g.gave = append(g.gave, what)
	return true, nil
}

// giveBack makes free what was given to a service that is refused.
func (g *giving) giveBack() error {
	for _, what := range g.gave {
		delete(g.given, what)
		if err := g.Ledger.leave(g.ctx, what, g.service); err != nil {
			return err
		}
	}
	return nil
}

// stillFree looks at the services once more.
func (g *giving) stillFree(what any) (bool, error) {
	all, err := g.request.Server.List(g.ctx, services, "")
	if err != nil {
		return false, err
	}
	for _, o := range all {
		if o.GetNamespace() == g.service.Namespace && o.GetName() == g.service.Name {
			continue
		}
		for theirs := range has(o.(*corev1.Service)) {
			if theirs == what {
				return false, nil
			}
		}
	}
	return true, nil
}

// free finds an address that nobody has: above the lower part if there is one.
func (g *giving) free() (netip.Addr, error) {
	n := size(g.Addresses)
	lower := min(max(16, n/16), 256)
	if lower >= n {
		lower = 0
	}
	for _, part := range [][2]int{{lower, n}, {0, lower}} {
		count := part[1] - part[0]
		if count == 0 {
			continue
		}
		start := g.random(count)
		for i := range count {
			address := nth(g.Addresses, 1+part[0]+(start+i)%count)
			if ok, err := g.take(address); ok || err != nil {
				return address, err
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("range is full")
}
