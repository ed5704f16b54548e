// SPDX-License-Identifier: Apache-2.0
// restate_client: asks Restate's ingress (PEERS_INGRESS, a port of loopback) for the handler of five steps, over connections that are kept.
import http from 'node:http';

import { serveLines } from './loop.js';

const agent = new http.Agent({ keepAlive: true });
const options = {
    agent,
    host: '127.0.0.1',
    port: Number(process.env.PEERS_INGRESS),
    path: '/hello/five',
    method: 'POST',
    headers: { 'content-length': 0 },
};

function post() {
    return new Promise((resolve, reject) => {
        const request = http.request(options, (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (chunk) => (text += chunk));
            response.on('error', reject);
            response.on('end', () =>
                response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(`${response.statusCode}: ${text}`)),
            );
        });
        request.on('error', reject);
        request.end();
    });
}

await serveLines(post);
process.exit(0);
