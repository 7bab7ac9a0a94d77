// Preloaded into a server that would listen on every interface: makes it
// listen on 127.0.0.1 only, and say on which port.
//
//   PORT=0 node --import ./loopback.mjs SERVER [ARGS]
import net from 'node:net';

const { listen } = net.Server.prototype;
net.Server.prototype.listen = function (port, ...rest) {
  const callbacks = rest.filter(argument => typeof argument === 'function');
  this.once('listening', () => console.error(`loopback port ${this.address().port}`));
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, ...callbacks);
};
