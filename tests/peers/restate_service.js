// SPDX-License-Identifier: Apache-2.0
// restate_service: the handler of five steps that Restate's server calls. Says its port, and ends with stdin.
import http2 from 'node:http2';

// The SDK expects it of Node 22; older ones do without.
Promise.withResolvers ??= function withResolvers() {
    const made = {};
    made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
    return made;
};

const { createEndpointHandler, service } = await import('@restatedev/restate-sdk');
const { say, STEPS } = await import('./loop.js');

const hello = service({
    name: 'hello',
    handlers: {
        five: async (context) => {
            let n = 0;
            for (let i = 0; i < STEPS; i++)
                n = await context.run('hello', () => n + 1);
            return n;
        },
    },
});

const server = http2.createServer(createEndpointHandler({ services: [hello] }));
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
