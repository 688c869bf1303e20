# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Fixed: with a block the connection is closed at its end, whatever happens.

require "net/http"

PORT, COUNT = ARGV.map(&:to_i)

# docs: begin
class Shop
  def initialize(number)
    @number = number
  end

  def price
    Net::HTTP.start("127.0.0.1", PORT, read_timeout: 30) do |http|
      http.get("/price/#{@number}/").body
    end
  end
end
# docs: end

SHOPS = (1..COUNT).map { |number| Shop.new(number) }
SHOPS.each(&:price)
$stdout.puts "ready"
$stdout.flush
sleep
