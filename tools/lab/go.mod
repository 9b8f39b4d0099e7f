module github.com/k8s-groundup/groundup/tools/lab

go 1.26.0
