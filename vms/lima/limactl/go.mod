module github.com/k8s-groundup/groundup/vms/lima/limactl

go 1.26.0

require github.com/lima-vm/lima v1.2.1
