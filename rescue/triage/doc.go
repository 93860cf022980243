// Package triage decides what is read first while a disk is being rescued: it joins
// the strategy for failing disks with what the layout makes of the metadata read so far.
//
//	executor ──Write──▶ Sink ──▶ the vault's writer
//	   ▲                 │ copies of metadata
//	   │ Next, Done      ▼
//	Planner ◀─Retier─ scratch ◀─View─ layout.Scan, in the background
//
// Metadata is read once, like everything else: on its way into the image it is copied
// into the scratch, from which the parsers read. The scratch is a file that has no name,
// of which every sector is encrypted under a key that only this process holds; what is
// left of it on the station's disk when the process ends is noise.
//
// There is one exception to "once". Metadata that was read before anybody knew that it
// would be wanted, by the sweep or by an earlier run, is in the image and not in the
// scratch. It is read again, under [PassAgain]: the data goes into the scratch only, a
// failure says nothing, and there is an upper bound to it. A caller that keeps [Tiers]
// between runs spares a resumed run even that.
//
// Triage never costs data. It changes the order of reads, and with
// [rescue.StrategyOptions.Used] leaves out what a file system itself calls free. Should
// the scratch fail, or the parsers find nothing, the rescue goes on with what is known by
// then, down to nothing: in order of place, all of it.
package triage
