package memory

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/storagetest"
)

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return New() })
}
