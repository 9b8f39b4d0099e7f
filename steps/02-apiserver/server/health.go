package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
)

// checks are the server's own and those of its configuration.
func (s *Server) checks() []health.Check {
	return append([]health.Check{
		health.Ping,
		{Name: "watch-caches", Ready: true, Ask: s.cachesFilled},
		{Name: "shutdown", Ready: true, Ask: s.notStopping},
	}, s.conf.Checks...)
}

func (s *Server) cachesFilled(context.Context) error {
	for gvr, e := range s.endpoints {
		if e.registry != nil && e.registry.Cache.Revision() == 0 {
			return fmt.Errorf("%s has not been read yet", gvr.GroupResource())
		}
	}
	return nil
}

func (s *Server) notStopping(context.Context) error {
	if s.stopping.Err() != nil {
		return errors.New("the server is stopping")
	}
	return nil
}
