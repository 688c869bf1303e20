// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed: a thread of the client closes connections that have been idle for long.

import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.impl.conn.PoolingHttpClientConnectionManager;
import org.apache.http.util.EntityUtils;

public class Prices {
    static final int IDLE_S = 1;

    final PoolingHttpClientConnectionManager pool = new PoolingHttpClientConnectionManager();
    final CloseableHttpClient client;

    Prices() {
        pool.setDefaultMaxPerRoute(50);
        pool.setMaxTotal(200);
        pool.setValidateAfterInactivity(500);
        // docs: begin
        client = HttpClients.custom()
            .setConnectionManager(pool)
            .evictExpiredConnections() // what the server announced: Keep-Alive: timeout=N
            .evictIdleConnections(IDLE_S, TimeUnit.SECONDS)
            .build();
        // docs: end
    }

    void price(String url, CyclicBarrier peak) throws Exception {
        try (CloseableHttpResponse response = client.execute(new HttpGet(url))) {
            peak.await();
            EntityUtils.consume(response.getEntity());
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        int count = Integer.parseInt(arguments[1]);
        Prices prices = new Prices();
        String url = "http://127.0.0.1:" + arguments[0] + "/price/";
        ExecutorService workers = Executors.newFixedThreadPool(count);
        CyclicBarrier peak = new CyclicBarrier(count);
        for (int number = 0; number < count; number++) {
            workers.submit(() -> { prices.price(url, peak); return null; });
        }
        workers.shutdown();
        workers.awaitTermination(30, TimeUnit.SECONDS);
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
