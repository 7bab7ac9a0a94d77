// The conformance suite cannot send a header of ours, and the gateway wants an
// agent key with every request.  This stands between them on the loopback
// interface and adds one header.
//
//   node add-header.mjs LISTEN_PORT TARGET_URL ['Header: value']
//
// The header may also come in the environment as ADD_HEADER.  With port 0 a
// free one is taken; the port is printed when ready.  The path is the client's.
//
// It works on bytes, so that nothing else changes on the way: it edits the
// head of a request and then only copies.  "Connection: close" makes every
// connection carry one request.  What is edited besides: the port of a
// loopback Host becomes the target's, and so does the port of an Origin that
// names this forwarder, as if the client had been given the target's own URL.
import net from 'node:net';

const [port, target, header = process.env.ADD_HEADER] = process.argv.slice(2);
if (!header || !/^[\w-]+: [\x20-\x7e]+$/.test(header)) throw new Error("usage: add-header.mjs LISTEN_PORT TARGET_URL 'Header: value'");
const { hostname, port: targetPort } = new URL(target);
const added = header.split(':')[0].toLowerCase();
const limit = 65536; // of a request's head

const loopback = '(localhost|127\\.0\\.0\\.1|\\[::1\\])';

function edit(head, ownPort) {
  const host = new RegExp(`^(host:[ \\t]*)${loopback}(:\\d+)?[ \\t]*$`, 'i');
  const origin = new RegExp(`^(origin:[ \\t]*http://)${loopback}:${ownPort}[ \\t]*$`, 'i');
  const lines = head.split('\r\n')
    .filter(line => ![added, 'connection'].includes(line.split(':')[0].toLowerCase()))
    .map(line => line.replace(host, `$1$2:${targetPort}`).replace(origin, `$1$2:${targetPort}`));
  return [...lines, header, 'Connection: close', '', ''].join('\r\n');
}

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, client => {
  const upstream = net.connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(targetPort), allowHalfOpen: true, noDelay: true });
  const both = [client, upstream];
  for (const [end, other] of [both, [upstream, client]]) {
    end.on('error', () => {});
    end.on('close', hadError => (hadError ? other.resetAndDestroy() : other.destroySoon()));
  }
  let head = Buffer.alloc(0);
  client.on('data', function collect(chunk) {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return void (head.length > limit && client.destroy());
    client.off('data', collect);
    upstream.write(edit(head.subarray(0, end).toString('latin1'), server.address().port), 'latin1');
    upstream.write(head.subarray(end + 4));
    client.pipe(upstream);
  });
  upstream.pipe(client);
});
server.listen(Number(port), '127.0.0.1', () => console.log(server.address().port));
