// Answers with the worker's slot, on a socket that all workers share.
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.end(`slot=${process.env.BROOD_SLOT} pid=${process.pid}\n`);
});

// The first shared socket is descriptor 3. Without brood it is a port of its own.
server.listen(process.env.LISTEN_FDS ? { fd: 3 } : { port: 8080 });

process.on('SIGTERM', () => {
  server.close(() => process.exit(0)); // once the requests under way are answered
  server.closeIdleConnections();
});
