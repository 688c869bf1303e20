// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: TLS connections that the server closed while they were idle stay in the pool until a request wants one.

import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

public class Quotes {
    static final int IDLE_S = 1;

    final CloseableHttpClient client;

    Quotes() {
        // docs: begin
        client = HttpClients.custom()
            .useSystemProperties() // javax.net.ssl.trustStore
            .setMaxConnPerRoute(50)
            .setMaxConnTotal(200)
            .build();
        // docs: end
    }

    void quote(String url, CyclicBarrier peak) throws Exception {
        try (CloseableHttpResponse response = client.execute(new HttpGet(url))) {
            peak.await();
            EntityUtils.consume(response.getEntity());
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        int count = Integer.parseInt(arguments[1]);
        Quotes quotes = new Quotes();
        String url = "https://127.0.0.1:" + arguments[0] + "/quote/";
        ExecutorService workers = Executors.newFixedThreadPool(count);
        CyclicBarrier peak = new CyclicBarrier(count);
        for (int number = 0; number < count; number++) {
            workers.submit(() -> { quotes.quote(url, peak); return null; });
        }
        workers.shutdown();
        workers.awaitTermination(30, TimeUnit.SECONDS);
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
