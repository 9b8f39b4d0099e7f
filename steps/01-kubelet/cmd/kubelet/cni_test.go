package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/bridge"
)

// Debian's containerd leaves the network of a pod to plugins, which are programs
// (CNI spec, section 2). The ones here are this test binary, with the bridge of
// step 00 in it; the plugin loopback has nothing to do that the bridge does not.

// writeCNI makes directories of plugins and of the networks that are made by them.
func writeCNI(bin, conf, state string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	list := map[string]any{"cniVersion": "1.0.0", "name": "pods", "plugins": []any{map[string]any{"type": "bridge", "state": state}}}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return errors.Join(os.Mkdir(bin, 0o755), os.Mkdir(conf, 0o755),
		os.Symlink(self, filepath.Join(bin, "loopback")),
		os.Symlink(self, filepath.Join(bin, "bridge")),
		os.WriteFile(filepath.Join(conf, "10-pods.conflist"), text, 0o644))
}

type (
	cniConfig struct {
		Version string `json:"cniVersion"`
		Type    string `json:"type"`
		State   string `json:"state"`
	}
	cniResult struct {
		Version    string         `json:"cniVersion"`
		Supported  []string       `json:"supportedVersions,omitempty"` // of VERSION
		Interfaces []cniInterface `json:"interfaces,omitempty"`
		IPs        []cniIP        `json:"ips,omitempty"`
	}
	cniInterface struct {
		Name    string `json:"name"`
		Sandbox string `json:"sandbox"`
	}
	cniIP struct {
		Interface int    `json:"interface"` // an index of Interfaces
		Address   string `json:"address"`
	}
	cniError struct {
		Code    int    `json:"code"`
		Message string `json:"msg"`
	}
)

// cniPlugin does what its environment and standard input say, and returns its exit code.
func cniPlugin() int {
	var conf cniConfig
	err := json.NewDecoder(os.Stdin).Decode(&conf)
	var answer any
	if err == nil {
		answer, err = cniCall(conf)
	}
	code := 0
	if err != nil {
		answer, code = cniError{Code: 999, Message: err.Error()}, 1
	}
	if answer != nil {
		_ = json.NewEncoder(os.Stdout).Encode(answer) // the caller has gone if it fails
	}
	return code
}

func cniCall(conf cniConfig) (answer any, err error) {
	result := cniResult{Version: conf.Version}
	pod := network.Sandbox{ID: os.Getenv("CNI_CONTAINERID"), Netns: os.Getenv("CNI_NETNS")}
	command := os.Getenv("CNI_COMMAND")
	switch {
	case command == "VERSION":
		result.Supported = []string{"0.3.1", "0.4.0", "1.0.0"}
		return result, nil
	case conf.Type == "loopback":
		result.Interfaces = []cniInterface{{Name: os.Getenv("CNI_IFNAME"), Sandbox: pod.Netns}}
		return result, nil
	}
	b, err := bridge.New(bridge.Config{State: conf.State})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	switch command {
	case "ADD":
		attached, err := b.Attach(context.Background(), pod)
		if err != nil {
			return nil, err
		}
		result.Interfaces = []cniInterface{{Name: os.Getenv("CNI_IFNAME"), Sandbox: pod.Netns}}
		for _, ip := range attached.IPs {
			result.IPs = append(result.IPs, cniIP{Address: ip.String() + "/24"})
		}
		return result, nil
	case "DEL":
		return nil, b.Detach(context.Background(), pod)
	}
	return nil, fmt.Errorf("no such command: %s", command)
}
