package layout

import (
	"os/exec"
	"strconv"
	"testing"
)

// makeNTFS makes a filled volume and returns its image and what is in it.
func makeNTFS(t *testing.T, mib, cluster int64, args ...string) (string, tree) {
	t.Helper()
	need(t, "ntfs-3g", "mkfs.ntfs", "ntfs-3g", "ntfscat")
	needRoot(t)
	path := blank(t, mib)
	run(t, "mkfs.ntfs", append(append([]string{"-q", "-F", "-f", "-c", strconv.FormatInt(cluster, 10)}, args...), path)...)
	var want tree
	mounted(t, func(dir string) { run(t, "ntfs-3g", path, dir) }, func(dir string) {
		fillMounted(t, dir, 4, 8)
		want = collect(t, dir)
	})
	return path, want
}

func TestNTFSAgreesWithItsOwnTools(t *testing.T) {
	for _, cluster := range []int64{512, 4096, 65536, 2 << 20} {
		t.Run(strconv.FormatInt(cluster, 10), func(t *testing.T) {
			mib := int64(48)
			if cluster > 65536 {
				mib = 1500
			}
			path, want := makeNTFS(t, mib, cluster)
			data := load(t, path)
			l := scanned(t, &image{data: data}, Options{})
			if l.Table != "none" || len(l.Volumes) != 1 || l.Volumes[0].Name != "ntfs" || len(l.Wanted) != 0 {
				t.Fatal(summary(l))
			}
			bitmap, err := exec.Command("ntfscat", "-f", "-i", "6", path).Output()
			if err != nil {
				t.Fatal(err)
			}
			covers(t, l, 0, cluster, int64(len(data))/cluster-1, func(b int64) bool {
				return bitmap[b/8]>>(b%8)&1 != 0
			})
			got, lost := listing(t, &image{data: data}, l, 0)
			if lost.Records != 0 {
				t.Errorf("%d records lost of a whole volume", lost.Records)
			}
			sameFiles(t, got, want)
			if cluster == 4096 {
				damageIsExact(t, path, data, 0, want, func(path string) (files tree) {
					mounted(t, func(dir string) { run(t, "ntfs-3g", "-o", "ro", path, dir) }, func(dir string) { files = collect(t, dir) })
					return files
				})
			}
			converges(t, data)
		})
	}
}
