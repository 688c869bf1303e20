// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed: the response is read and closed on every path, so its connection goes back to the pool.

import java.io.IOException;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

public class Stock {
    private final CloseableHttpClient client;

    Stock(int connections) {
        client = HttpClients.custom().setMaxConnPerRoute(connections).setMaxConnTotal(200).build();
    }

    // docs: begin
    String level(String url) throws IOException {
        try (CloseableHttpResponse response = client.execute(new HttpGet(url))) {
            if (response.getStatusLine().getStatusCode() != 200) {
                EntityUtils.consumeQuietly(response.getEntity()); // else close() ends it
                throw new IOException(url + ": " + response.getStatusLine());
            }
            return EntityUtils.toString(response.getEntity());
        }
    }
    // docs: end

    void ask(String url) {
        try {
            level(url);
        } catch (IOException error) {
            System.out.println(error.getMessage());
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        int count = Integer.parseInt(arguments[1]);
        Stock stock = new Stock(count);
        String items = "http://127.0.0.1:" + arguments[0] + "/stock/";
        for (int number = 0; number < count; number++) {
            stock.ask(items + number + "/404");
        }
        System.out.println("ready");
        // With every connection of the pool leased, this one waits for ever.
        stock.ask(items + "last/404");
        Thread.currentThread().join();
    }
}
