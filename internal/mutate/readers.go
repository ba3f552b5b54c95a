package mutate

// TokenFile is a ServiceAccount token in a volume of a pod, as the kubelet makes the file.
type TokenFile struct {
	// Volume is the volume's name, and File that of the file in it.
	Volume, File string
	// Audience is the token's.
	Audience string
	// Mode are the permissions, such as 0o440; Owner and Group are a user and a group.
	Mode         int32
	Owner, Group int64
	// Readers are the containers that mount the volume and are known to be able to read the
	// file, and Doubtful those that mount it and may not be.
	Readers, Doubtful []string
}

// TokenFiles says who can read the tokens of a pod, the API server's own aside: those that
// name no audience.
func (p *Pod) TokenFiles() []TokenFile {
	var all []TokenFile
	for i := range p.volumes {
		v := &p.volumes[i]
		for j := range v.tokens {
			if v.tokens[j].audience != "" {
				all = append(all, p.describeToken(v, &v.tokens[j]))
			}
		}
	}
	return all
}

func (p *Pod) describeToken(v *volume, t *tokenSource) TokenFile {
	owner := t.user
	if owner == nil {
		owner = v.user
	}
	f := p.tokenFile(v.mode, owner)
	d := TokenFile{Volume: v.name, File: t.file, Audience: t.audience, Mode: f.mode, Owner: f.owner, Group: f.group}
	for c := range p.allContainers() {
		for k := range c.mounts {
			if c.mounts[k].volume != v.name {
				continue
			}
			if p.readable(f, c) {
				d.Readers = append(d.Readers, c.name)
			} else {
				d.Doubtful = append(d.Doubtful, c.name)
			}
			break
		}
	}
	return d
}
