// Exercises a server through the Go client go-zookeeper.
//
//	go-client HOST:PORT
//
// Prints `ok NAME` or `not ok NAME: why` for each test; `@kill` asks the caller to kill and
// start the server, and to say so with a line on standard input.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const limit = 20 * time.Second

var (
	server string
	open   = zk.WorldACL(zk.PermAll)
	input  = bufio.NewReader(os.Stdin)
)

// client is a connection with the session states it went through.
type client struct {
	*zk.Conn
	states <-chan zk.Event
}

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func connect(timeout time.Duration) *client {
	conn, states, err := zk.Connect([]string{server}, timeout, zk.WithLogger(quiet{}))
	must(err)
	c := &client{conn, states}
	c.await(zk.StateHasSession)
	return c
}

// await reads the events of the session until it is in the state.
func (c *client) await(state zk.State) {
	end := time.After(limit)
	for {
		select {
		case event := <-c.states:
			if event.State == state {
				return
			}
		case <-end:
			panic(fmt.Sprintf("not in state %s, but %s", state, c.State()))
		}
	}
}

// reconnected waits until a request gets through; requests fail while there is no server.
func (c *client) reconnected() {
	end := time.Now().Add(limit)
	for {
		_, _, err := c.Exists("/")
		if err == nil {
			return
		}
		check(time.Now().Before(end), "not connected again: %v", err)
		time.Sleep(20 * time.Millisecond)
	}
}

// Failures end a test function by a panic that `run` turns into a line.

func must(err error) {
	if err != nil {
		panic(err.Error())
	}
}

func check(ok bool, format string, args ...interface{}) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

func wants(got, want error) {
	check(errors.Is(got, want), "got error %v, not %v", got, want)
}

func event(ch <-chan zk.Event, kind zk.EventType, path string) {
	select {
	case e := <-ch:
		check(e.Type == kind && e.Path == path, "event %v of %q, not %v of %q", e.Type, e.Path, kind, path)
	case <-time.After(limit):
		panic(fmt.Sprintf("no event %v of %q", kind, path))
	}
}

func create(c *client, path, data string, flags int32) string {
	made, err := c.Create(path, []byte(data), flags, open)
	must(err)
	return made
}

func testSession(c *client) {
	check(c.SessionID() != 0, "no session id")
	check(c.State() == zk.StateHasSession, "state %v", c.State())
	check(c.Server() == server, "server %s", c.Server())
}

func testCreateGetSetDelete(c *client) {
	check(create(c, "/go-basic", "one", 0) == "/go-basic", "other path")
	_, err := c.Create("/go-basic", nil, 0, open)
	wants(err, zk.ErrNodeExists)
	data, stat, err := c.Get("/go-basic")
	must(err)
	check(string(data) == "one" && stat.Version == 0 && stat.Czxid == stat.Mzxid, "%q %+v", data, stat)
	_, err = c.Set("/go-basic", []byte("two"), 4)
	wants(err, zk.ErrBadVersion)
	stat, err = c.Set("/go-basic", []byte("two"), 0)
	must(err)
	check(stat.Version == 1 && stat.Mzxid > stat.Czxid && stat.DataLength == 3, "%+v", stat)
	create(c, "/go-basic/child", "", 0)
	wants(c.Delete("/go-basic", -1), zk.ErrNotEmpty)
	must(c.Delete("/go-basic/child", 0))
	wants(c.Delete("/go-basic", 0), zk.ErrBadVersion)
	must(c.Delete("/go-basic", 1))
	there, _, err := c.Exists("/go-basic")
	must(err)
	check(!there, "still there")
	_, err = c.Create("/go-none/child", nil, 0, open)
	wants(err, zk.ErrNoNode)
}

func testChildren(c *client) {
	create(c, "/go-children", "", 0)
	for i := 0; i < 30; i++ {
		create(c, fmt.Sprintf("/go-children/%02d", i), "", 0)
	}
	names, stat, err := c.Children("/go-children")
	must(err)
	sort.Strings(names)
	check(len(names) == 30 && names[0] == "00" && names[29] == "29", "%v", names)
	check(stat.NumChildren == 30 && stat.Cversion == 30, "%+v", stat)
}

func testSequence(c *client) {
	create(c, "/go-sequence", "", 0)
	for i := 0; i < 4; i++ {
		want := fmt.Sprintf("/go-sequence/n-%010d", i)
		got := create(c, "/go-sequence/n-", "", zk.FlagSequence)
		check(got == want, "%s, not %s", got, want)
	}
	path, err := c.CreateProtectedEphemeralSequential("/go-sequence/p-", nil, open)
	must(err)
	check(strings.HasPrefix(path, "/go-sequence/_c_") && strings.HasSuffix(path, "p-0000000004"), "%s", path)
}

func testEphemeral(c *client) {
	other := connect(10 * time.Second)
	create(other, "/go-ephemeral", "", zk.FlagEphemeral)
	there, stat, gone, err := c.ExistsW("/go-ephemeral")
	must(err)
	check(there && stat.EphemeralOwner == other.SessionID(), "%v %+v", there, stat)
	_, err = c.Create("/go-ephemeral/child", nil, 0, open)
	wants(err, zk.ErrNoChildrenForEphemerals)
	other.Close()
	event(gone, zk.EventNodeDeleted, "/go-ephemeral")
}

func testWatches(c *client) {
	other := connect(10 * time.Second)
	defer other.Close()
	there, _, made, err := c.ExistsW("/go-watch")
	must(err)
	check(!there, "there already")
	create(other, "/go-watch", "1", 0)
	event(made, zk.EventNodeCreated, "/go-watch")
	_, _, changed, err := c.GetW("/go-watch")
	must(err)
	_, _, children, err := c.ChildrenW("/go-watch")
	must(err)
	_, err = other.Set("/go-watch", []byte("2"), -1)
	must(err)
	event(changed, zk.EventNodeDataChanged, "/go-watch")
	create(other, "/go-watch/child", "", 0)
	event(children, zk.EventNodeChildrenChanged, "/go-watch")
	must(other.Delete("/go-watch/child", -1))
	_, _, deleted, err := c.GetW("/go-watch")
	must(err)
	_, _, also, err := c.ChildrenW("/go-watch")
	must(err)
	must(other.Delete("/go-watch", -1))
	event(deleted, zk.EventNodeDeleted, "/go-watch")
	event(also, zk.EventNodeDeleted, "/go-watch")
}

func testMulti(c *client) {
	replies, err := c.Multi(
		&zk.CreateRequest{Path: "/go-multi", Data: []byte("a"), Acl: open},
		&zk.SetDataRequest{Path: "/go-multi", Data: []byte("b"), Version: 0},
		&zk.CheckVersionRequest{Path: "/go-multi", Version: 1},
		&zk.CreateRequest{Path: "/go-multi/n-", Acl: open, Flags: zk.FlagSequence},
	)
	must(err)
	check(len(replies) == 4 && replies[0].String == "/go-multi", "%+v", replies)
	check(replies[1].Stat.Version == 1 && replies[3].String == "/go-multi/n-0000000000", "%+v", replies)
	_, err = c.Multi(
		&zk.DeleteRequest{Path: "/go-multi/n-0000000000", Version: -1},
		&zk.CheckVersionRequest{Path: "/go-multi", Version: 5},
	)
	wants(err, zk.ErrBadVersion)
	there, _, err := c.Exists("/go-multi/n-0000000000")
	must(err)
	check(there, "a failed multi deleted a node")
}

func testACL(c *client) {
	owner := connect(10 * time.Second)
	defer owner.Close()
	must(owner.AddAuth("digest", []byte("bob:secret")))
	acl := zk.DigestACL(zk.PermAll, "bob", "secret")
	_, err := owner.Create("/go-acl", []byte("x"), 0, acl)
	must(err)
	_, _, err = c.Get("/go-acl")
	wants(err, zk.ErrNoAuth)
	got, stat, err := owner.GetACL("/go-acl")
	must(err)
	check(len(got) == 1 && got[0] == acl[0] && stat.Aversion == 0, "%+v %+v", got, stat)
	_, err = owner.SetACL("/go-acl", append(acl, zk.WorldACL(zk.PermRead)...), 0)
	must(err)
	data, stat, err := c.Get("/go-acl")
	must(err)
	check(string(data) == "x" && stat.Aversion == 1, "%q %+v", data, stat)
	_, err = c.Set("/go-acl", nil, -1)
	wants(err, zk.ErrNoAuth)
	_, err = c.Create("/go-acl-bad", nil, 0, []zk.ACL{})
	wants(err, zk.ErrInvalidACL)
}

func testContainerAndTTL(c *client) {
	path, err := c.CreateContainer("/go-container", nil, zk.FlagContainer, open)
	must(err)
	check(path == "/go-container", "%s", path)
	create(c, "/go-container/child", "", 0)
	path, err = c.CreateTTL("/go-ttl", nil, zk.FlagTTL, open, time.Hour)
	must(err)
	check(path == "/go-ttl", "%s", path)
	_, stat, err := c.Get("/go-ttl")
	must(err)
	check(stat.EphemeralOwner == 0, "%+v", stat)
}

func testLargeData(c *client) {
	data := bytes.Repeat([]byte("0123456789"), 90*1024)
	_, err := c.Create("/go-large", data, 0, open)
	must(err)
	back, _, err := c.Get("/go-large")
	must(err)
	check(bytes.Equal(data, back), "other data came back")
}

func testSync(c *client) {
	path, err := c.Sync("/go-sync")
	must(err)
	check(path == "/go-sync", "%s", path)
}

func testLock(c *client) {
	var (
		group  sync.WaitGroup
		mutex  sync.Mutex
		inside int
		worst  int
	)
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			own := connect(10 * time.Second)
			defer own.Close()
			for j := 0; j < 5; j++ {
				lock := zk.NewLock(own.Conn, "/go-lock", open)
				must(lock.Lock())
				mutex.Lock()
				inside++
				if inside > worst {
					worst = inside
				}
				mutex.Unlock()
				mutex.Lock()
				inside--
				mutex.Unlock()
				must(lock.Unlock())
			}
		}()
	}
	group.Wait()
	check(worst == 1, "%d held the lock", worst)
}

func testConcurrentCounter(c *client) {
	create(c, "/go-counter", "0", 0)
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for done := 0; done < 20; {
				data, stat, err := c.Get("/go-counter")
				must(err)
				var n int
				fmt.Sscan(string(data), &n)
				_, err = c.Set("/go-counter", []byte(fmt.Sprint(n+1)), stat.Version)
				if err == nil {
					done++
				} else {
					wants(err, zk.ErrBadVersion)
				}
			}
		}()
	}
	group.Wait()
	data, stat, err := c.Get("/go-counter")
	must(err)
	check(string(data) == "160" && stat.Version == 160, "%s %+v", data, stat)
}

func testFourLetterWords(c *client) {
	check(zk.FLWRuok([]string{server}, limit)[0], "not ok")
	// FLWSrvr only understands the date format of older servers
	// nor does FLWCons its own connection, which has no session
	clients, _ := zk.FLWCons([]string{server}, limit)
	check(clients[0].Error == nil, "cons: %v", clients[0].Error)
	found := false
	for _, one := range clients[0].Clients {
		found = found || one.SessionID == c.SessionID()
	}
	check(found, "own session is not among %d clients", len(clients[0].Clients))
}

func testSurvivesAKilledServer(c *client) {
	own := connect(10 * time.Second)
	defer own.Close()
	id := own.SessionID()
	create(own, "/go-kill", "kept", 0)
	create(own, "/go-kill-ephemeral", "", zk.FlagEphemeral)
	_, _, changed, err := own.GetW("/go-kill")
	must(err)
	fmt.Println("@kill")
	_, err = input.ReadString('\n')
	must(err)
	own.reconnected()
	c.reconnected()
	check(own.SessionID() == id, "another session")
	there, stat, err := c.Exists("/go-kill-ephemeral")
	must(err)
	check(there && stat.EphemeralOwner == id, "%v %+v", there, stat)
	_, err = c.Set("/go-kill", []byte("new"), 0)
	must(err)
	event(changed, zk.EventNodeDataChanged, "/go-kill")
}

func run(name string, test func(*client), c *client) (ok bool) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("not ok %s: %v\n", name, why)
		}
	}()
	test(c)
	fmt.Println("ok " + name)
	return true
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-client HOST:PORT")
		os.Exit(64)
	}
	server = os.Args[1]
	c := connect(15 * time.Second)
	tests := []struct {
		name string
		test func(*client)
	}{
		{"session", testSession},
		{"create_get_set_delete", testCreateGetSetDelete},
		{"children", testChildren},
		{"sequence", testSequence},
		{"ephemeral", testEphemeral},
		{"watches", testWatches},
		{"multi", testMulti},
		{"acl", testACL},
		{"container_and_ttl", testContainerAndTTL},
		{"large_data", testLargeData},
		{"sync", testSync},
		{"lock", testLock},
		{"concurrent_counter", testConcurrentCounter},
		{"four_letter_words", testFourLetterWords},
		{"survives_a_killed_server", testSurvivesAKilledServer},
	}
	failed := false
	for _, t := range tests {
		failed = !run(t.name, t.test, c) || failed
	}
	c.Close()
	if failed {
		os.Exit(1)
	}
}
