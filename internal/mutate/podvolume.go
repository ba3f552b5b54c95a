package mutate

import corev1 "k8s.io/api/core/v1"

// volume is one of spec.volumes, as far as it can be compared with one of ours.
type volume struct {
	index int
	name  string
	// api is true for what the kubelet makes of API objects and mounts read-only:
	// configMap, secret, downwardAPI, projected. It makes mount points in these.
	api bool
	// scratch is true for an emptyDir, and memory for one in memory.
	scratch, memory bool
	// readOnly is true where the volume is read-only, whatever a mount says.
	readOnly bool
	// mode is the volume's defaultMode, and user its defaultUser, or nil.
	mode int32
	user *int64
	// tokens are the ServiceAccount tokens of a projected volume, which has
	// further sources where others is true.
	tokens []tokenSource
	others bool
	// file is the name of a file that shows an annotation of the pod, and fileField says
	// which (core/v1 ObjectFieldSelector.fieldPath); empty where there is none. A second
	// one is another source.
	file, fileField string
	// text is the volume in JSON.
	text string
}

// tokenSource is a projected ServiceAccount token.
type tokenSource struct {
	file, audience string
	seconds        int64
	user           *int64 // nil where the volume's holds
}

func (r *podReader) volume(index int) volume {
	v := volume{index: index, mode: defaultMode}
	first := len(r.sources)
	v.text = r.Raw(func() { r.volumeMembers(&v) })
	v.tokens = r.sources[first:len(r.sources):len(r.sources)]
	return v
}

func (r *podReader) volumeMembers(v *volume) {
	r.Object(func(name string) {
		if name != "name" && r.Null() {
			r.Skip()
			return
		}
		switch name {
		case "name":
			v.name = r.String()
		case "projected":
			v.api = true
			r.projected(v)
		case "configMap", "secret", "downwardAPI":
			v.api = true
			r.Skip()
		case "emptyDir":
			v.scratch = true
			r.member("medium", func() { v.memory = r.String() == string(corev1.StorageMediumMemory) })
		case "image":
			v.readOnly = true
			r.Skip()
		case "persistentVolumeClaim", "nfs", "csi", "iscsi", "cephfs", "rbd", "glusterfs", "azureDisk", "azureFile", "fc",
			"gcePersistentDisk", "awsElasticBlockStore", "quobyte", "portworxVolume", "scaleIO", "storageos", "cinder", "flexVolume":
			r.member("readOnly", func() { v.readOnly = r.Bool() })
		default:
			r.Skip()
		}
	})
}

func (r *podReader) projected(v *volume) {
	r.Object(func(name string) {
		switch name {
		case "defaultMode":
			if mode := r.Int64(); mode != nil {
				v.mode = int32(*mode & 0o777)
			}
		case "defaultUser":
			v.user = r.Int64()
		case "sources":
			r.Array(func(int) { v.others = !r.source(v) || v.others })
		default:
			r.Skip()
		}
	})
}

// source reads a projected source. It is false where it is neither a token nor a file
// that shows an annotation.
func (r *podReader) source(v *volume) (ours bool) {
	r.Object(func(name string) {
		switch {
		case r.Null():
			r.Skip()
		case name == "serviceAccountToken":
			ours = true
			r.tokenSource()
		case name == "downwardAPI" && v.file == "":
			ours = r.annotationFile(v)
		default:
			r.Skip()
		}
	})
	return ours
}

// annotationFile reads a source that shows fields of the pod. It is false unless it
// shows one field.
func (r *podReader) annotationFile(v *volume) (one bool) {
	r.member("items", func() {
		r.Array(func(i int) {
			one = i == 0
			r.Object(func(name string) {
				switch name {
				case "path":
					v.file = r.String()
				case "fieldRef":
					r.member("fieldPath", func() { v.fileField = r.String() })
				default:
					r.Skip()
				}
			})
		})
	})
	return one
}

// tokenSource reads a projected token.
func (r *podReader) tokenSource() {
	if !r.admit(len(r.sources), maxSources, "volumes", "projected", "sources") {
		return
	}
	source := tokenSource{seconds: 3600} // core/v1 ServiceAccountTokenProjection.expirationSeconds
	r.Object(func(name string) {
		switch name {
		case "path":
			source.file = r.String()
		case "audience":
			source.audience = r.String()
		case "expirationSeconds":
			if seconds := r.Int64(); seconds != nil {
				source.seconds = *seconds
			}
		case "user":
			source.user = r.Int64()
		default:
			r.Skip()
		}
	})
	r.sources = append(r.sources, source)
}
