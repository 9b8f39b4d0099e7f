module github.com/k8s-groundup/groundup/tools/modules

go 1.26.0
