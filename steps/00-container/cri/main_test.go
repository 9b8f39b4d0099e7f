package cri_test

import (
	"os"
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
)

func TestMain(m *testing.M) {
	if conf := os.Getenv(managerEnv); conf != "" {
		manage(conf)
		return
	}
	runtimetest.Main(m)
}
