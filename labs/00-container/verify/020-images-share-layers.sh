# title: Images are there without a registry, their layers unpacked once
# proves: an image is a list of file system layers and a config, named by their digests
# hint: `lab up` imports the images of the step
# see: lab shell node-1 -- runtime images

probe() {
	out=$(on runtime images)
	echo "$out"
	for image in web toolbox; do
		echo "$out" | grep -q "groundup.local/$image:v1" || { echo "image $image is missing"; return 1; }
	done
	echo "$out" | grep -q 'sharing layers saves'
}
