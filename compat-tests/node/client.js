'use strict';
// Exercises a server through node-zookeeper-client.
//
//     node client.js HOST:PORT
//
// Prints `ok NAME` or `not ok NAME: why` for each test; `@kill` asks the caller to kill and
// start the server, and to say so with a line on standard input.

const assert = require('assert');
const readline = require('readline');
const zookeeper = require('node-zookeeper-client');

const { ACL, CreateMode, Event, Exception, Id, Permission, State } = zookeeper;
const server = process.argv[2];
const LIMIT = 20000;

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), LIMIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A client whose calls return promises (several results as an array).
function connect(options) {
  const raw = zookeeper.createClient(server, { sessionTimeout: 10000, ...options });
  const client = { raw };
  for (const name of ['create', 'getData', 'setData', 'exists', 'remove', 'getChildren', 'getACL',
    'setACL', 'mkdirp']) {
    client[name] = (...args) => within(new Promise((resolve, reject) => {
      raw[name](...args, (error, ...results) => {
        if (error) reject(error);
        else resolve(results.length > 1 ? results : results[0]);
      });
    }), name);
  }
  client.close = () => within(new Promise((resolve) => {
    raw.once('disconnected', resolve);
    raw.close();
  }), 'close');
  const connected = new Promise((resolve) => { raw.once('connected', () => resolve(client)); });
  raw.connect();
  return within(connected, 'connect');
}

// [watcher, promise of its event]
function watch() {
  let watcher;
  const seen = within(new Promise((resolve) => { watcher = resolve; }), 'event');
  // a test that failed before it waits must not end the program
  seen.catch(() => {});
  return [watcher, seen];
}

function fails(promise, code) {
  return assert.rejects(promise, (error) => {
    assert.strictEqual(error.getCode && error.getCode(), code, String(error));
    return true;
  });
}

function isEvent(event, type, path) {
  assert.strictEqual(event.getType(), type);
  assert.strictEqual(event.getPath(), path);
}

function statNumber(buffer) {
  return Buffer.isBuffer(buffer) ? buffer.readBigInt64BE() : BigInt(buffer);
}

const tests = {
  async session(c) {
    assert.strictEqual(c.raw.getState(), State.SYNC_CONNECTED);
    assert.notStrictEqual(c.raw.getSessionId().readBigInt64BE(), 0n);
    assert.strictEqual(c.raw.getSessionPassword().length, 16);
    assert.strictEqual(c.raw.getSessionTimeout(), 10000);
  },

  async create_get_set_delete(c) {
    assert.strictEqual(await c.create('/njs-basic', Buffer.from('one')), '/njs-basic');
    await fails(c.create('/njs-basic'), Exception.NODE_EXISTS);
    const [data, stat] = await c.getData('/njs-basic');
    assert.strictEqual(data.toString(), 'one');
    assert.strictEqual(stat.version, 0);
    assert.strictEqual(stat.dataLength, 3);
    await fails(c.setData('/njs-basic', Buffer.from('two'), 7), Exception.BAD_VERSION);
    const after = await c.setData('/njs-basic', Buffer.from('two'), 0);
    assert.strictEqual(after.version, 1);
    assert.ok(statNumber(after.mzxid) > statNumber(after.czxid));
    await c.create('/njs-basic/child');
    await fails(c.remove('/njs-basic'), Exception.NOT_EMPTY);
    await c.remove('/njs-basic/child', 0);
    await fails(c.remove('/njs-basic', 0), Exception.BAD_VERSION);
    await c.remove('/njs-basic', 1);
    assert.strictEqual(await c.exists('/njs-basic'), null);
    await fails(c.getData('/njs-basic'), Exception.NO_NODE);
  },

  async sequence(c) {
    await c.create('/njs-sequence');
    for (let i = 0; i < 4; i += 1) {
      const path = await c.create('/njs-sequence/n-', CreateMode.PERSISTENT_SEQUENTIAL);
      assert.strictEqual(path, `/njs-sequence/n-${String(i).padStart(10, '0')}`);
    }
  },

  async mkdirp_and_children(c) {
    await c.mkdirp('/njs/a/b/c');
    await Promise.all(['x', 'y', 'z'].map((name) => c.create(`/njs/a/b/c/${name}`)));
    const [names, stat] = await c.getChildren('/njs/a/b/c');
    assert.deepStrictEqual(names.sort(), ['x', 'y', 'z']);
    assert.strictEqual(stat.numChildren, 3);
    assert.strictEqual(stat.cversion, 3);
  },

  async ephemeral(c) {
    const other = await connect();
    await other.create('/njs-ephemeral', CreateMode.EPHEMERAL);
    const [watcher, gone] = watch();
    const stat = await c.exists('/njs-ephemeral', watcher);
    assert.strictEqual(
      statNumber(stat.ephemeralOwner),
      other.raw.getSessionId().readBigInt64BE(),
    );
    await fails(c.create('/njs-ephemeral/child'), Exception.NO_CHILDREN_FOR_EPHEMERALS);
    await other.close();
    isEvent(await gone, Event.NODE_DELETED, '/njs-ephemeral');
  },

  async watches(c) {
    const other = await connect();
    let [watcher, seen] = watch();
    assert.strictEqual(await c.exists('/njs-watch', watcher), null);
    await other.create('/njs-watch');
    isEvent(await seen, Event.NODE_CREATED, '/njs-watch');
    [watcher, seen] = watch();
    await c.getData('/njs-watch', watcher);
    await other.setData('/njs-watch', Buffer.from('2'));
    isEvent(await seen, Event.NODE_DATA_CHANGED, '/njs-watch');
    [watcher, seen] = watch();
    await c.getChildren('/njs-watch', watcher);
    await other.create('/njs-watch/child');
    isEvent(await seen, Event.NODE_CHILDREN_CHANGED, '/njs-watch');
    await other.remove('/njs-watch/child');
    [watcher, seen] = watch();
    await c.getData('/njs-watch', watcher);
    await other.remove('/njs-watch');
    isEvent(await seen, Event.NODE_DELETED, '/njs-watch');
    await other.close();
  },

  async transaction(c) {
    const commit = (build) => within(new Promise((resolve, reject) => {
      build(c.raw.transaction()).commit((error, results) => {
        if (error) reject(Object.assign(error, { results }));
        else resolve(results);
      });
    }), 'commit');
    const results = await commit((t) => t
      .create('/njs-multi', Buffer.from('a'))
      .setData('/njs-multi', Buffer.from('b'), 0)
      .check('/njs-multi', 1)
      .create('/njs-multi/child'));
    assert.strictEqual(results.length, 4);
    await assert.rejects(
      commit((t) => t.remove('/njs-multi/child').check('/njs-multi', 9).remove('/njs-multi')),
      (error) => error.getCode() === Exception.BAD_VERSION,
    );
    assert.ok(await c.exists('/njs-multi/child'));
    const [data] = await c.getData('/njs-multi');
    assert.strictEqual(data.toString(), 'b');
  },

  async acl(c) {
    const owner = await connect();
    owner.raw.addAuthInfo('digest', Buffer.from('carol:secret'));
    await owner.create('/njs-acl', Buffer.from('x'), ACL.CREATOR_ALL_ACL);
    await fails(c.getData('/njs-acl'), Exception.NO_AUTH);
    const [acls, stat] = await owner.getACL('/njs-acl');
    assert.strictEqual(acls.length, 1);
    assert.strictEqual(acls[0].id.scheme, 'digest');
    assert.ok(acls[0].id.id.startsWith('carol:'));
    assert.strictEqual(stat.aversion, 0);
    const reader = new ACL(Permission.READ, new Id('ip', '127.0.0.1'));
    await fails(owner.setACL('/njs-acl', [reader], 5), Exception.BAD_VERSION);
    await owner.setACL('/njs-acl', [reader], 0);
    const [data] = await c.getData('/njs-acl');
    assert.strictEqual(data.toString(), 'x');
    await fails(c.setData('/njs-acl', Buffer.from('y')), Exception.NO_AUTH);
    await owner.close();
  },

  async pipelined_requests(c) {
    await c.create('/njs-pipeline');
    const sets = [];
    for (let i = 0; i < 500; i += 1) sets.push(c.setData('/njs-pipeline', Buffer.from(`${i}`)));
    const stats = await Promise.all(sets);
    stats.forEach((stat, i) => assert.strictEqual(stat.version, i + 1));
    const [data] = await c.getData('/njs-pipeline');
    assert.strictEqual(data.toString(), '499');
  },

  async survives_a_killed_server(c) {
    await c.create('/njs-kill', Buffer.from('kept'));
    await c.create('/njs-kill-ephemeral', CreateMode.EPHEMERAL);
    const [watcher, seen] = watch();
    await c.getData('/njs-kill', watcher);
    const session = c.raw.getSessionId().readBigInt64BE();
    const again = new Promise((resolve) => { c.raw.once('connected', resolve); });
    const lines = readline.createInterface({ input: process.stdin });
    const told = new Promise((resolve) => { lines.once('line', resolve); });
    console.log('@kill');
    await told;
    lines.close();
    await within(again, 'second connection');
    assert.strictEqual(c.raw.getSessionId().readBigInt64BE(), session);
    const stat = await c.exists('/njs-kill-ephemeral');
    assert.strictEqual(statNumber(stat.ephemeralOwner), session);
    // the client set its watch again
    await c.setData('/njs-kill', Buffer.from('new'), 0);
    isEvent(await seen, Event.NODE_DATA_CHANGED, '/njs-kill');
  },
};

async function main() {
  const client = await connect();
  let failed = false;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test(client);
      console.log(`ok ${name}`);
    } catch (error) {
      failed = true;
      console.log(`not ok ${name}: ${String(error.stack || error).replace(/\n/g, ' | ')}`);
    }
  }
  await client.close();
  process.exit(failed ? 1 : 0);
}

main().catch((error) => {
  console.log(`not ok program: ${error}`);
  process.exit(2);
});
